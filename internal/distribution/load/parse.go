package load

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf16"
)

// maxDepth is how deep what is read may be nested.
const maxDepth = 200

// parse returns the documents of a text: one of JSON, any number of YAML.
func parse(name string, text []byte) ([]any, error) {
	if len(text) > maxBytes {
		return nil, fmt.Errorf("%s: has more than %d bytes", name, maxBytes)
	}
	text = unmark(text)
	isJSON := strings.EqualFold(path.Ext(name), ".json")
	if start := bytes.TrimLeft(text, " \t\r\n"); isJSON || len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		tree, err := parseJSON(name, text)
		if err == nil {
			return []any{tree}, nil
		}
		if isJSON {
			return nil, err
		}
		trees, notYAML := parseYAML(name, text)
		if notYAML != nil && !strings.HasPrefix(strings.ToLower(path.Ext(name)), ".y") {
			return nil, err
		}
		return trees, notYAML
	}
	return parseYAML(name, text)
}

// unmark takes a byte order mark away, and makes UTF-8 of the UTF-16 that
// PowerShell writes where output is redirected.
func unmark(text []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte{0xEF, 0xBB, 0xBF}):
		return text[3:]
	case bytes.HasPrefix(text, []byte{0xFF, 0xFE}):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte{0xFE, 0xFF}):
		order = binary.BigEndian
	default:
		return text
	}
	units := make([]uint16, 0, len(text)/2)
	for i := 2; i+1 < len(text); i += 2 {
		units = append(units, order.Uint16(text[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}

// parseJSON keeps numbers as they are written and refuses what encoding/json
// would let pass: a property that is there twice, and anything after the end.
func parseJSON(name string, text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	tree, err := jsonValue(d, 0)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the end")
		}
	}
	if err == nil {
		return tree, nil
	}
	offset := d.InputOffset()
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		err, offset = errors.New("ends too early"), int64(len(text))
	case errors.As(err, &syntax) && errors.As(json.Unmarshal(text, new(any)), &syntax):
		offset = syntax.Offset - 1 // a Decoder's tokens do not say it so exactly
	}
	line, column := position(text, offset)
	return nil, fmt.Errorf("%s:%d:%d: %w", name, line, column, err)
}

// position counts from 1; columns are bytes.
func position(text []byte, offset int64) (line, column int) {
	before := text[:min(max(offset, 0), int64(len(text)))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}

func jsonValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("is nested deeper than %d", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return jsonObject(d, depth)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := jsonValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return token, nil
}

func jsonObject(d *json.Decoder, depth int) (any, error) {
	m := make(map[string]any)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("%v is not a property's name", token)
		}
		if _, twice := m[key]; twice {
			return nil, fmt.Errorf("property %q is there twice", key)
		}
		if m[key], err = jsonValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return m, err
}

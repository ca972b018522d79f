package s3event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/freshet/freshet/internal/source/batch"
)

// input reads one JSON value, or several one after another.
func (r *reader) input(data []byte) error {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(data) == 0 {
		return errors.New("the input is empty")
	}
	if json.Valid(data) {
		return r.value(data, batch.Place{}, 0)
	}
	pieces, err := split(data)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		r.nested(p.data, batch.Place{Path: p.path}, 0)
	}
	return nil
}

// piece is one of several values in one input.
type piece struct {
	path string
	data []byte
}

// split takes an input apart that is more than one JSON value: by lines if
// there is one on the first of them, and otherwise value by value, as pretty
// printed files stand when they are put together. If the first value is broken
// and later lines are not, it is lines after all.
func split(data []byte) ([]piece, error) {
	lines, whole := splitLines(data)
	if len(whole) > 0 && whole[0] == lines[0].path {
		return lines, nil
	}
	values, err := splitValues(data)
	switch {
	case err == nil:
		return values, nil
	case len(whole) > 0:
		return lines, nil
	default:
		return nil, err
	}
}

// splitLines returns the lines that are not blank, and the paths of those that
// are a JSON value by themselves that could carry events.
func splitLines(data []byte) (lines []piece, whole []string) {
	for i, line := range bytes.Split(data, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		path := fmt.Sprintf("line %d", i+1)
		lines = append(lines, piece{path, line})
		if (line[0] == '{' || line[0] == '[') && json.Valid(line) {
			whole = append(whole, path)
		}
	}
	return lines, whole
}

// splitValues returns the values as they follow one another. What is left
// after the last whole one is a piece too, so that it is not passed over. The
// error says that not even the first is whole.
func splitValues(data []byte) ([]piece, error) {
	var values []piece
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		path := fmt.Sprintf("value %d", len(values)+1)
		at := dec.InputOffset()
		var raw json.RawMessage
		err := dec.Decode(&raw)
		switch {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil && len(values) == 0:
			return nil, fmt.Errorf("it is not JSON: %w", err)
		case err != nil:
			return append(values, piece{path, data[at:]}), nil
		}
		values = append(values, piece{path, raw})
	}
}

// decode reads JSON into v, with errors that speak of the input and not of Go.
func decode(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	var mismatch *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mismatch) && mismatch.Field != "":
		return fmt.Errorf("%s: found %s, which cannot stand there", mismatch.Field, withArticle(mismatch.Value))
	case errors.As(err, &mismatch):
		return fmt.Errorf("found %s, which cannot stand here", withArticle(mismatch.Value))
	default:
		return fmt.Errorf("it is not JSON: %w", err)
	}
}

func withArticle(kind string) string {
	if kind == "array" || kind == "object" {
		return "an " + kind
	}
	return "a " + kind
}

package listing

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/freshet/freshet/internal/inventory/lines"
)

// Format is how a listing is written.
type Format string

// The formats of a listing.
const (
	Auto      Format = ""          // one of the following, by what the listing begins with
	S3JSON    Format = "s3-json"   // aws s3api list-objects-v2, list-objects and list-object-versions
	S3LS      Format = "s3-ls"     // aws s3 ls --recursive
	Inventory Format = "inventory" // S3 Inventory in CSV
	JSONLines Format = "jsonl"     // {"key":…,"size":…,"tags":[…],"requests":…} on each line
	SizedKeys Format = "size-key"  // size, tab and key on each line
	Keys      Format = "keys"      // a key on each line
)

// Formats are those a person may name.
func Formats() []Format {
	return []Format{S3JSON, S3LS, Inventory, JSONLines, SizedKeys, Keys}
}

// ParseFormat returns the format of that name, Auto for an empty one.
func ParseFormat(name string) (Format, error) {
	for _, f := range append(Formats(), Auto) {
		if string(f) == name {
			return f, nil
		}
	}
	return Auto, fmt.Errorf("there is no format %q of a listing: use one of %s", name, strings.Join(formatNames(), ", "))
}

func formatNames() (names []string) {
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return names
}

// detect finds the format by what the listing begins with. A plain key per line
// is what every other text is, so that nothing is guessed from the content of
// keys: each other format has a mark of its own.
func detect(in *bufio.Reader, columns bool) (Format, error) {
	head, err := in.Peek(lines.PeekSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return Auto, err
	}
	if columns {
		return Inventory, nil
	}
	head = bytes.TrimLeft(head, " \t\r\n")
	first, _, _ := bytes.Cut(head, []byte("\n"))
	first = bytes.TrimSuffix(first, []byte("\r"))
	switch {
	case isOtherOutput(head, first):
		return Auto, errors.New("the listing is none that is read: with the AWS CLI, list with --output json")
	case bytes.HasPrefix(head, []byte("{")):
		return whichJSON(head), nil
	case isArray(head), string(first) == "[", string(bytes.TrimSpace(head)) == "null":
		return S3JSON, nil
	case bytes.HasPrefix(head, []byte(`"`)):
		return Inventory, nil
	case isLS(first):
		return S3LS, nil
	case isSized(first):
		return SizedKeys, nil
	}
	return Keys, nil
}

// whichJSON tells our own lines from S3's document by the first member, which
// is never in lower case there.
func whichJSON(head []byte) Format {
	dec := json.NewDecoder(bytes.NewReader(head))
	_, _ = dec.Token() // the brace
	name, _ := dec.Token()
	switch name {
	case "key", "size", "tags", "requests", "bucket":
		return JSONLines
	}
	return S3JSON
}

// isArray keeps [slug].js and [[...path]].js, which are keys, apart from
// [{"Key":…}] and [["a",1]].
func isArray(head []byte) bool {
	rest, bracket := bytes.CutPrefix(head, []byte("["))
	rest = bytes.TrimLeft(rest, " \t\r\n")
	if !bracket || len(rest) == 0 {
		return false
	}
	return strings.IndexByte(`"{]`, rest[0]) >= 0 || bytes.HasPrefix(rest, []byte(`["`))
}

// isOtherOutput knows listings that would pass as lists of odd keys: the CLI's
// text, YAML and table, and S3's own XML.
func isOtherOutput(head, first []byte) bool {
	return bytes.HasPrefix(head, []byte("CONTENTS\t")) || bytes.Contains(head, []byte("\nCONTENTS\t")) ||
		string(first) == "Contents:" ||
		bytes.HasPrefix(first, []byte("-----")) && bytes.Contains(head, []byte("ListObject")) ||
		bytes.HasPrefix(head, []byte("<?xml")) || bytes.HasPrefix(head, []byte("<ListBucketResult"))
}

// isLS accepts the columns of aws s3 ls, with the mark of a folder too, and its
// trailer, which is all there is of an empty bucket.
func isLS(line []byte) bool {
	rest, dated := cutDate(line)
	rest = bytes.TrimLeft(rest, " ")
	return dated && len(rest) > 0 && isDigit(rest[0]) ||
		bytes.HasPrefix(line, []byte("PRE ")) || bytes.HasPrefix(line, []byte("Total Objects: "))
}

func isSized(line []byte) bool {
	size, key, tab := bytes.Cut(line, []byte("\t"))
	return tab && len(key) > 0 && len(size) > 0 && len(bytes.Trim(size, "0123456789")) == 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

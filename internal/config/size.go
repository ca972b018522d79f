package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Size is a number of bytes, such as 64MiB.
type Size int64

// sizes are the units, the largest first.
var sizes = [...]struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// maxSize is more than any machine has.
const maxSize = 1 << 50

// String is the form that UnmarshalText reads.
func (s Size) String() string {
	for _, unit := range sizes {
		if s != 0 && int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText writes the form that UnmarshalText reads.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a whole number with KiB, MiB, GiB, or without for bytes.
func (s *Size) UnmarshalText(text []byte) error {
	number, times := string(text), int64(1)
	for _, unit := range sizes {
		if rest, ok := strings.CutSuffix(number, unit.name); ok {
			number, times = strings.TrimSpace(rest), unit.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > maxSize/times {
		return fmt.Errorf("%q is no size such as 64MiB or 2GiB", text)
	}
	*s = Size(n * times)
	return nil
}

// UnmarshalYAML reads what UnmarshalText reads. Its errors know line and column.
func (s *Size) UnmarshalYAML(node ast.Node) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		return err
	}
	if err := s.UnmarshalText([]byte(text)); err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: node.GetToken()}
	}
	return nil
}

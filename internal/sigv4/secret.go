package sigv4

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a secret access key. Whatever prints, logs or encodes it shows ***;
// only Reveal gives the text. It can be decoded from JSON, YAML or a flag like
// any string.
type Secret string

const hidden = "***"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns ***.
func (Secret) String() string { return hidden }

// Format writes *** for every verb, %x and %#v included.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue shows *** in a log.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText encodes ***, so a configuration that is written out again does
// not hold the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

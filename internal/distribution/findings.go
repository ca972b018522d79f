package distribution

import (
	"errors"
	"fmt"
)

// Warning is something in a configuration that was not used, or that is
// probably not meant as it stands.
type Warning struct {
	Path string // as DistributionConfig.CacheBehaviors[3].Foo
	Text string
}

func (w Warning) String() string { return said(w.Path, w.Text) }

// Error is something in a configuration that cannot be.
type Error struct {
	Path string
	Text string
}

func (e *Error) Error() string { return said(e.Path, e.Text) }

// maxErrors is after how many errors nothing more is said of others.
const maxErrors = 20

type findings struct {
	warnings []Warning
	errs     []error
	unsaid   int
}

func (f *findings) warn(path, format string, args ...any) {
	f.warnings = append(f.warnings, Warning{Path: path, Text: fmt.Sprintf(format, args...)})
}

func (f *findings) fail(path, format string, args ...any) {
	if len(f.errs) == maxErrors {
		f.unsaid++
		return
	}
	f.errs = append(f.errs, &Error{Path: path, Text: fmt.Sprintf(format, args...)})
}

// err joins all errors. It is nil where there are none.
func (f *findings) err() error {
	if f.unsaid > 0 {
		return errors.Join(append(f.errs, fmt.Errorf("and %d more", f.unsaid))...)
	}
	return errors.Join(f.errs...)
}

func said(path, text string) string {
	if path == "" {
		return text
	}
	return path + ": " + text
}

// below returns the path of what stands under name at path.
func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// Package accesslog reads CloudFront's standard logs, and those of web servers,
// and sums up how often each URL is asked for, and from how many edge locations.
package accesslog

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/freshet/freshet/internal/inventory/lines"
)

// Hit is one line of a log: a request and how it was answered.
type Hit struct {
	Host     string // that the viewer asked for, in lower case and without a port; Domain if the log does not say
	Domain   string // of the distribution at CloudFront, such as d111111abcdef8.cloudfront.net; empty if the log lacks the column
	Method   string
	Path     string // in the spelling of freshet.CanonicalPath; empty where the log has none, as for a request that was refused unread
	Query    string // as the viewer spelled it, without the question mark
	Status   int    // 0 if the viewer left before there was one
	Bytes    int64  // to the viewer, headers included; 0 if the log lacks the column
	Location string // edge location, such as LHR50-C1; empty if the log lacks the column
	Result   string // such as Hit, Miss or Error; empty if the log lacks the column
	Time     time.Time
}

// LineError says why one line is no hit. The lines after it are read.
type LineError struct {
	Line int64 // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

// Read yields the hits of the log in r, once and in its order, which is not that
// of time. It reads the W3C format of standard logs, where the columns are those
// of the #Fields line before them, in whichever version and selection, and the
// JSON lines of standard logging v2; also the combined and common formats of
// nginx and Apache. Several logs may follow one another, and all may be compressed
// with gzip.
//
// A *LineError stands for a line that is left out, and what follows it can be
// had by going on. Any other error is the last that is yielded. An empty log
// yields nothing.
//
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
func Read(r io.Reader) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		in, err := lines.Open(r)
		if err != nil {
			yield(Hit{}, fmt.Errorf("read access log: %w", err))
			return
		}
		l := &log{lines: lines.NewReader(in), names: make(map[string]string)}
		for {
			h, ok, err := l.next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err == nil && ok && !yield(h, nil):
				return
			case err == nil:
				continue
			}
			_, bad := errors.AsType[*LineError](err)
			if !bad {
				err = fmt.Errorf("read access log: %w", err)
			}
			if !yield(Hit{}, err) || !bad {
				return
			}
		}
	}
}

// log is what the reading of a line needs of the lines before it.
type log struct {
	lines   *lines.Reader
	columns *columns // nil before the first #Fields line
	isJSON  bool     // a line was
	isPlain bool     // a line was in a web server's format
	fields  [][]byte
	names   map[string]string // texts that come again and again, kept once
}

// next returns the hit of the next line, or false for a line without one.
func (l *log) next() (Hit, bool, error) {
	line, err := l.lines.Next()
	switch {
	case errors.Is(err, io.EOF):
		return Hit{}, false, err
	case errors.Is(err, lines.ErrTooLong):
		return Hit{}, false, l.bad(err)
	case err != nil:
		return Hit{}, false, fmt.Errorf("after line %d: %w", l.lines.Number(), err)
	case len(line) == 0:
		return Hit{}, false, nil
	case line[0] == '#':
		if err := l.directive(line); err != nil {
			return Hit{}, false, fmt.Errorf("line %d: %w", l.lines.Number(), err)
		}
		return Hit{}, false, nil
	}
	var h Hit
	switch {
	case line[0] == '{':
		l.isJSON = true
		h, err = l.json(line)
	case l.columns == nil && (l.isPlain || isCombined(line)):
		l.isPlain = true
		h, err = l.combined(line)
	case l.columns == nil && l.isJSON:
		err = errors.New("the line is no JSON object like those before it")
	case l.columns == nil:
		return Hit{}, false, fmt.Errorf("line %d: no #Fields line says what the columns are: write the log in the W3C format, in JSON, or as nginx's combined format", l.lines.Number())
	default:
		h, err = l.w3c(line)
	}
	if err != nil {
		return Hit{}, false, l.bad(err)
	}
	return h, true, nil
}

func (l *log) bad(err error) error { return &LineError{Line: l.lines.Number(), Err: err} }

// name returns the text of a field that has few values. What would make many of
// them is not kept.
func (l *log) name(field []byte) string {
	if s, ok := l.names[string(field)]; ok {
		return s
	}
	s := string(field)
	if len(l.names) < maxNames && len(s) <= maxName {
		l.names[s] = s
	}
	return s
}

const (
	maxNames = 10_000
	maxName  = 256
)

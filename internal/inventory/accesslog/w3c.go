package accesslog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// columns are where the fields are that matter; -1 where there is none.
type columns struct {
	all                             int // how many there are
	date, time, millis              int
	host, domain                    int
	method, stem, query             int
	status, bytes, location, result int
}

// directive reads a line of the header. Only #Fields matters.
func (l *log) directive(line []byte) error {
	list, ok := bytes.CutPrefix(line, []byte("#Fields:"))
	if !ok {
		return nil
	}
	names := strings.Fields(string(list))
	find := func(name string) int { return slices.Index(names, name) }
	c := &columns{
		all: len(names), date: find("date"), time: find("time"), millis: find("timestamp(ms)"),
		host: find("x-host-header"), domain: find("cs(Host)"),
		method: find("cs-method"), stem: find("cs-uri-stem"), query: find("cs-uri-query"),
		status: find("sc-status"), bytes: find("sc-bytes"), location: find("x-edge-location"), result: find("x-edge-result-type"),
	}
	for _, needed := range []string{"cs-method", "cs-uri-stem", "sc-status"} {
		if find(needed) < 0 {
			return fmt.Errorf("the log has no column %s, without which requests cannot be counted", needed)
		}
	}
	l.columns = c
	return nil
}

// w3c reads a line of columns. They are separated by tabs; since values hold no
// white space, a log whose tabs became spaces on its way is read as well.
func (l *log) w3c(line []byte) (Hit, error) {
	l.fields = l.fields[:0]
	if bytes.IndexByte(line, '\t') >= 0 {
		for field := range bytes.SplitSeq(line, []byte("\t")) {
			l.fields = append(l.fields, field)
		}
	} else {
		l.fields = append(l.fields, bytes.Fields(line)...)
	}
	c := l.columns
	if len(l.fields) != c.all {
		return Hit{}, fmt.Errorf("the line has %d fields instead of %d", len(l.fields), c.all)
	}
	return l.hit(record{
		date: l.field(c.date), time: l.field(c.time), millis: l.field(c.millis),
		host: l.field(c.host), domain: l.field(c.domain),
		method: l.field(c.method), stem: l.field(c.stem), query: l.field(c.query),
		status: l.field(c.status), bytes: l.field(c.bytes), location: l.field(c.location), result: l.field(c.result),
	})
}

// field returns nil for a column that is not there, and for one without a value.
func (l *log) field(i int) []byte {
	if i < 0 {
		return nil
	}
	return value(l.fields[i])
}

// value returns nil for the hyphen. A query string that is a hyphen cannot be told
// from none.
func value(field []byte) []byte {
	if len(field) == 1 && field[0] == '-' {
		return nil
	}
	return field
}

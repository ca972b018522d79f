// Package sitemap reads sitemaps as the protocol has them: XML, index files, lists
// of URLs, any of them compressed with gzip.
package sitemap

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The protocol's limits on one file. https://www.sitemaps.org/protocol.html
const (
	MaxBytes = 50 << 20 // uncompressed
	MaxURLs  = 50_000
)

// maxDepth is how deeply elements may be nested. Sitemaps and their extensions for
// images, videos and languages need five.
const maxDepth = 32

// maxLocation is how long a URL may be; the protocol says less than 2,048
// characters, and CloudFront takes 8,192 bytes.
const maxLocation = 8192

// URL is one that a sitemap lists.
type URL struct {
	Location string    // as it stands there
	Priority float64   // 0.5 where it does not say
	Modified time.Time // zero where it does not say
}

// Sitemap is one file.
type Sitemap struct {
	URLs     []URL
	Children []string // locations of the sitemaps of an index
	Odd      int      // entries that were left out, since they have no location or one that is too long
}

// ErrTooLarge is the error of a file that is longer than the protocol allows, or
// has more URLs.
var ErrTooLarge = errors.New("the sitemap is larger than the protocol allows")

// Read reads one file. XML with a document type is refused, since entities are
// what bombs are made of and no sitemap needs them.
func Read(r io.Reader) (Sitemap, error) { return read(r, MaxBytes) }

func read(r io.Reader, most int64) (Sitemap, error) {
	in := bufio.NewReader(r)
	if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return Sitemap{}, fmt.Errorf("read sitemap: %w", err)
		}
		in = bufio.NewReader(z)
	}
	text := bufio.NewReader(&bound{in: in, left: most})
	start, err := text.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return Sitemap{}, fmt.Errorf("read sitemap: %w", err)
	}
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")), " \t\r\n")
	var s Sitemap
	if len(trimmed) > 0 && trimmed[0] == '<' {
		if bytes.HasPrefix(start, []byte("\xef\xbb\xbf")) {
			_, _ = text.Discard(3)
		}
		s, err = readXML(text)
	} else {
		s, err = readLines(text)
	}
	if err != nil {
		return Sitemap{}, fmt.Errorf("read sitemap: %w", err)
	}
	return s, nil
}

// bound fails with ErrTooLarge beyond a number of bytes.
type bound struct {
	in   io.Reader
	left int64
}

func (b *bound) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.in.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}

// readLines reads a URL per line.
func readLines(in io.Reader) (s Sitemap, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLocation+2)
	for lines.Scan() {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" {
			continue
		}
		if !strings.HasPrefix(line, "http://") && !strings.HasPrefix(line, "https://") || !utf8.ValidString(line) {
			return Sitemap{}, fmt.Errorf("it is neither XML nor a list of URLs: %.60q", line)
		}
		if err := s.add(URL{Location: line, Priority: defaultPriority}); err != nil {
			return Sitemap{}, err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return Sitemap{}, fmt.Errorf("it is neither XML nor a list of URLs: a line has more than %d bytes", maxLocation)
	} else if err != nil {
		return Sitemap{}, err
	}
	return s, nil
}

const defaultPriority = 0.5

func (s *Sitemap) add(u URL) error {
	if len(s.URLs)+len(s.Children)+s.Odd >= MaxURLs {
		return ErrTooLarge
	}
	if u.Location == "" || len(u.Location) > maxLocation {
		s.Odd++
		return nil
	}
	s.URLs = append(s.URLs, u)
	return nil
}

// reader is an XML file on its way.
type reader struct {
	sitemap Sitemap
	path    []string // names of the elements that are open
	entry   URL
	text    []byte
}

func readXML(in io.Reader) (Sitemap, error) {
	d := xml.NewDecoder(in)
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		if strings.EqualFold(charset, "us-ascii") {
			return in, nil
		}
		return nil, fmt.Errorf("its encoding is %s, and sitemaps are written in UTF-8", charset)
	}
	var r reader
	root := ""
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Sitemap{}, err
		}
		switch t := token.(type) {
		case xml.Directive:
			return Sitemap{}, errors.New("it has a document type, which no sitemap needs")
		case xml.StartElement:
			if len(r.path) == 0 {
				if root != "" {
					return Sitemap{}, errors.New("it has more than one root element")
				}
				root = t.Name.Local
				if root != "urlset" && root != "sitemapindex" {
					return Sitemap{}, fmt.Errorf("it is a <%.40s>, and sitemaps are a <urlset> or a <sitemapindex>", root)
				}
			}
			if len(r.path) == maxDepth {
				return Sitemap{}, fmt.Errorf("its elements are nested more than %d deep", maxDepth)
			}
			r.open(t)
		case xml.EndElement:
			if err := r.close(t); err != nil {
				return Sitemap{}, err
			}
		case xml.CharData:
			if len(r.text)+len(t) <= maxLocation+1024 {
				r.text = append(r.text, t...)
			} else {
				r.text = append(r.text[:0], make([]byte, maxLocation+1)...)
			}
		}
	}
	if root == "" || len(r.path) > 0 {
		return Sitemap{}, io.ErrUnexpectedEOF
	}
	return r.sitemap, nil
}

func (r *reader) open(t xml.StartElement) {
	name := t.Name.Local
	if t.Name.Space != "" && len(r.path) > 0 {
		name = t.Name.Space + ":" + name // of an extension: image:loc is no loc
	}
	r.path = append(r.path, name)
	r.text = r.text[:0]
	if len(r.path) == 2 {
		r.entry = URL{Priority: defaultPriority}
	}
}

func (r *reader) close(t xml.EndElement) error {
	depth := len(r.path)
	if depth == 0 {
		return errors.New("an element ends that never began")
	}
	name := r.path[depth-1]
	if _, local, ok := strings.Cut(name, ":"); t.Name.Local != name && (!ok || local != t.Name.Local) {
		return fmt.Errorf("<%.40s> is ended by </%.40s>", name, t.Name.Local)
	}
	r.path = r.path[:depth-1]
	switch {
	case depth == 3:
		r.entry.set(name, strings.TrimSpace(string(r.text)))
	case depth == 2 && name == "url":
		return r.sitemap.add(r.entry)
	case depth == 2 && name == "sitemap":
		return r.sitemap.addChild(r.entry.Location)
	}
	return nil
}

// set takes in an element of an entry.
func (u *URL) set(name, text string) {
	switch name {
	case "loc":
		u.Location = text
	case "priority":
		if p, err := strconv.ParseFloat(text, 64); err == nil && p >= 0 && p <= 1 {
			u.Priority = p
		}
	case "lastmod":
		u.Modified = parseTime(text)
	}
}

func (s *Sitemap) addChild(location string) error {
	if len(s.Children)+s.Odd >= MaxURLs {
		return ErrTooLarge
	}
	if location == "" || len(location) > maxLocation {
		s.Odd++
		return nil
	}
	s.Children = append(s.Children, location)
	return nil
}

// parseTime reads the profile of ISO 8601 that sitemaps use.
// https://www.w3.org/TR/NOTE-datetime
func parseTime(text string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}

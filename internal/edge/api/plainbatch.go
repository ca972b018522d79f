package api

import (
	"bytes"
	"encoding/xml"
	"strconv"
)

// plainReader reads the body of CreateInvalidation as the SDKs write it: each
// element once, no attribute but the namespace, and text without entities or
// anything beyond ASCII. Whatever else XML allows it leaves to parseBatch, which
// is some thirty times dearer.
type plainReader struct {
	rest []byte
	odd  bool
}

// readPlainBatch returns what readBatch does, or false for what is not plain or not
// right.
func readPlainBatch(body []byte) (Batch, bool) {
	p := plainReader{rest: body}
	var b Batch
	var references, paths int
	if !p.take("<InvalidationBatch>") && !p.take(`<InvalidationBatch xmlns="`+namespace+`">`) {
		return Batch{}, false
	}
	for !p.end("InvalidationBatch") {
		switch {
		case p.take("<CallerReference>"):
			b.CallerReference = p.text("CallerReference")
			references++
		case p.take("<Paths>"):
			b.Paths = p.paths()
			paths++
		default:
			return Batch{}, false
		}
	}
	p.space()
	return b, !p.odd && len(p.rest) == 0 && references == 1 && paths == 1
}

// paths reads on behind <Paths>.
func (p *plainReader) paths() (paths []string) {
	quantities, lists, quantity := 0, 0, ""
	for !p.end("Paths") && !p.odd {
		switch {
		case p.take("<Quantity>"):
			quantity = p.text("Quantity")
			quantities++
		case p.take("<Items>"):
			paths = p.items()
			lists++
		default:
			p.odd = true
		}
	}
	if n, err := strconv.Atoi(quantity); err != nil || n != len(paths) || quantities != 1 || lists != 1 {
		p.odd = true
	}
	return paths
}

// items reads on behind <Items>.
func (p *plainReader) items() (paths []string) {
	for !p.end("Items") && !p.odd {
		if !p.take("<Path>") {
			p.odd = true
			break
		}
		paths = append(paths, p.text("Path"))
	}
	return paths
}

// take skips space and then markup, if that is what follows.
func (p *plainReader) take(markup string) bool {
	p.space()
	if len(p.rest) < len(markup) || string(p.rest[:len(markup)]) != markup {
		return false
	}
	p.rest = p.rest[len(markup):]
	return true
}

// end is true as well when nothing more can be read.
func (p *plainReader) end(name string) bool {
	return p.odd || p.take("</"+name+">")
}

func (p *plainReader) space() { p.rest = bytes.TrimLeft(p.rest, " \t\n") }

// text reads to the end of an element.
func (p *plainReader) text(name string) string {
	n := bytes.IndexByte(p.rest, '<')
	if n < 0 {
		p.odd = true
		return ""
	}
	text := p.rest[:n]
	for _, c := range text {
		if c < ' ' || c > '~' || c == '&' || c == '>' {
			p.odd = true
			return ""
		}
	}
	p.rest = p.rest[n:]
	// Text ends where its element does.
	if closing := "</" + name + ">"; len(p.rest) < len(closing) || string(p.rest[:len(closing)]) != closing {
		p.odd = true
	} else {
		p.rest = p.rest[len(closing):]
	}
	return string(text)
}

// invalidationText is an Invalidation document, encoded here since no other is as
// frequent.
func invalidationText(i Invalidation) []byte {
	var b bytes.Buffer
	b.Grow(512)
	b.WriteString("<?xml version=\"1.0\"?>\n<Invalidation xmlns=\"" + namespace + "\"><Id>")
	escaped(&b, i.ID)
	b.WriteString("</Id><Status>" + i.Status() + "</Status><CreateTime>")
	b.Write(i.Created.UTC().AppendFormat(b.AvailableBuffer(), timeLayout))
	b.WriteString("</CreateTime><InvalidationBatch><Paths><Quantity>")
	b.Write(strconv.AppendInt(b.AvailableBuffer(), int64(len(i.Paths)), 10))
	b.WriteString("</Quantity>")
	if len(i.Paths) > 0 {
		b.WriteString("<Items>")
		for _, path := range i.Paths {
			b.WriteString("<Path>")
			escaped(&b, path)
			b.WriteString("</Path>")
		}
		b.WriteString("</Items>")
	}
	b.WriteString("</Paths><CallerReference>")
	escaped(&b, i.CallerReference)
	b.WriteString("</CallerReference></InvalidationBatch></Invalidation>")
	return b.Bytes()
}

func escaped(b *bytes.Buffer, s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '<' || c == '>' || c == '&' || c == '"' || c == '\'' {
			_ = xml.EscapeText(b, []byte(s)) // a Buffer takes everything
			return
		}
	}
	b.WriteString(s)
}

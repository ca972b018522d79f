package api

import (
	"encoding/xml"
	"strconv"
)

// element is a part of an answer's document. The zero value is none, and is left
// out.
type element struct {
	name  string
	text  string
	below []element
}

// document is a whole one, in CloudFront's namespace.
type document element

// MarshalXML writes the document with its namespace.
func (d document) MarshalXML(enc *xml.Encoder, _ xml.StartElement) error {
	return element(d).write(enc, xml.Name{Space: namespace, Local: d.name})
}

func (e element) write(enc *xml.Encoder, name xml.Name) error {
	start := xml.StartElement{Name: name}
	if err := enc.EncodeToken(start); err != nil {
		return err
	}
	if e.text != "" {
		if err := enc.EncodeToken(xml.CharData(e.text)); err != nil {
			return err
		}
	}
	for _, b := range e.below {
		if b.name == "" {
			continue
		}
		if err := b.write(enc, xml.Name{Local: b.name}); err != nil {
			return err
		}
	}
	return enc.EncodeToken(start.End())
}

func text(name, value string) element { return element{name: name, text: value} }

// optional is left out where value is empty.
func optional(name, value string) element {
	if value == "" {
		return element{}
	}
	return text(name, value)
}

func number[N int | int64](name string, n N) element {
	return text(name, strconv.FormatInt(int64(n), 10))
}

func flag(name string, on bool) element { return text(name, strconv.FormatBool(on)) }

func group(name string, below ...element) element { return element{name: name, below: below} }

// items are the two elements of a list. One without elements has no Items, as
// CloudFront writes it.
func items(elements []element) []element {
	if len(elements) == 0 {
		return []element{number("Quantity", 0)}
	}
	return []element{number("Quantity", len(elements)), {name: "Items", below: elements}}
}

func list(name string, elements []element) element { return group(name, items(elements)...) }

// named is a list of texts, each in an element called member.
func named(name, member string, values []string) element {
	return list(name, texts(member, values))
}

func texts(member string, values []string) []element {
	return each(values, func(v string) element { return text(member, v) })
}

// pointed is left out where there is nothing behind p.
func pointed[T any](p *T, show func(T) element) element {
	if p == nil {
		return element{}
	}
	return show(*p)
}

// each turns a list of one type into a list of another.
func each[A, B any](list []A, turn func(A) B) []B {
	turned := make([]B, 0, len(list))
	for _, a := range list {
		turned = append(turned, turn(a))
	}
	return turned
}

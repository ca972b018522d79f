package distribution

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// place is where in a tree something may stand: below a property's name, or,
// with an empty field, below a property that only holds others. The model's
// tags say what there is:
//
//	json     the field's name in the CloudFront API
//	also     its names elsewhere, as in CloudFormation; a dot leads into another property
//	element  of a list of texts: the property that holds the text where the API wraps it in an object
//	beside   what may stand beside Quantity and Items, and means nothing
//	known    of the blank field: properties that mean nothing here, or that settle reads
type place struct {
	below   map[string]*place
	field   int // in the struct; -1: none
	ignored bool
}

func newPlace() *place { return &place{below: make(map[string]*place), field: -1} }

// at returns the place that the dotted name leads to and makes it where there
// is none.
func (p *place) at(name string) *place {
	for part := range strings.SplitSeq(name, ".") {
		next := p.below[part]
		if next == nil {
			next = newPlace()
			p.below[part] = next
		}
		p = next
	}
	return p
}

// shapeOf returns the places of a struct's fields.
func shapeOf(t reflect.Type) *place {
	root := newPlace()
	for i := range t.NumField() {
		f := t.Field(i)
		for known := range strings.FieldsSeq(f.Tag.Get("known")) {
			root.at(known).ignored = true
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || !f.IsExported() {
			continue
		}
		root.at(name).field = i
		if also := f.Tag.Get("also"); also != "" {
			root.at(also).field = i
		}
		if beside := f.Tag.Get("beside"); beside != "" {
			root.at(name + "." + beside).ignored = true
		}
	}
	return root
}

// nearest returns the name below p that somebody who wrote name may have meant,
// or nothing.
func (p *place) nearest(name string) string {
	best, least := "", 3
	for _, known := range slices.Sorted(maps.Keys(p.below)) {
		if d := distance(strings.ToLower(name), strings.ToLower(known), least); d < least {
			best, least = known, d
		}
	}
	if len(name) <= least {
		return ""
	}
	return best
}

// distance is the number of letters to add, drop or change that lead from a to
// b. What is not less than enough is returned as enough.
func distance(a, b string, enough int) int {
	if len(a)-len(b) >= enough || len(b)-len(a) >= enough {
		return enough
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], enough)
}

package function

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Fields are the headers, cookies or query parameters of an event: an object in
// JSON whose order is kept, since it is the order in which a query string is
// put together again.
type Fields []Field

// Field is one header, cookie or query parameter. Multi holds all values,
// the first included, where a name occurs more than once, and is nil otherwise.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
type Field struct {
	Name string `json:"-"`
	Value
	Multi []Value `json:"multiValue,omitempty"`
}

// Value is one value of a field. Attributes belong to the cookies of responses.
type Value struct {
	Value      string `json:"value"`
	Attributes string `json:"attributes,omitempty"`
}

// Get returns the field called name.
func (fs Fields) Get(name string) (Field, bool) {
	for _, f := range fs {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// Values returns all values of the field.
func (f Field) Values() []Value {
	if f.Multi != nil {
		return f.Multi
	}
	return []Value{f.Value}
}

// add appends a value to the field called name, which is created at the end if
// there is none.
func (fs *Fields) add(name string, v Value) {
	for i := range *fs {
		f := &(*fs)[i]
		if f.Name != name {
			continue
		}
		if f.Multi == nil {
			f.Multi = []Value{f.Value}
		}
		f.Multi = append(f.Multi, v)
		return
	}
	*fs = append(*fs, Field{Name: name, Value: v})
}

func (f Field) equal(o Field) bool {
	return f.Name == o.Name && f.Value == o.Value && slices.Equal(f.Multi, o.Multi)
}

func (fs Fields) equal(o Fields) bool { return slices.EqualFunc(fs, o, Field.equal) }

// MarshalJSON writes an object; no fields are {}.
func (fs Fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range fs {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := plainJSON(f.Name)
		if err != nil {
			return nil, err
		}
		value, err := plainJSON(f)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// plainJSON leaves <, > and & as they are: a query string is read by people.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// UnmarshalJSON reads an object. Of a name that occurs twice the last value
// counts, in the place of the first, as in JavaScript.
func (fs *Fields) UnmarshalJSON(text []byte) error {
	*fs = nil
	d := json.NewDecoder(bytes.NewReader(text))
	switch t, err := d.Token(); {
	case err != nil:
		return err
	case t == nil:
		return nil
	case t != json.Delim('{'):
		return errors.New("must be an object of fields")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		f := Field{Name: name.(string)} // the decoder hands out no other keys
		if err := d.Decode(&f); err != nil {
			return fmt.Errorf("%q: %w", f.Name, err)
		}
		if i := slices.IndexFunc(*fs, func(have Field) bool { return have.Name == f.Name }); i >= 0 {
			(*fs)[i] = f
		} else {
			*fs = append(*fs, f)
		}
	}
	return nil
}

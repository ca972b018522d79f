package api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"slices"
	"testing"

	"github.com/freshet/freshet/internal/distribution"
)

func FuzzReadBatch(f *testing.F) {
	f.Add([]byte(`<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><CallerReference>r</CallerReference><Paths><Items><Path>/a</Path></Items><Quantity>1</Quantity></Paths></InvalidationBatch>`))
	f.Add([]byte("<InvalidationBatch>\n  <Paths>\n    <Quantity>2</Quantity> <Items><Path>/ a</Path><Path></Path></Items></Paths><CallerReference> r </CallerReference></InvalidationBatch>\n"))
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY b "c">]><InvalidationBatch><Paths><Quantity>-1</Quantity></Paths></InvalidationBatch>`))
	f.Add([]byte(`<InvalidationBatch><CallerReference>a<b/>c</CallerReference><Paths><Quantity>0</Quantity><Items/></Paths></InvalidationBatch>x`))
	f.Fuzz(func(t *testing.T, body []byte) {
		batch, err := readAnyBatch(body)
		if plain, ok := readPlainBatch(body); ok && (err != nil || plain.CallerReference != batch.CallerReference || !slices.Equal(plain.Paths, batch.Paths)) {
			t.Fatalf("read as %+v, but it is %+v, %v", plain, batch, err)
		}
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) || refused.Status != 400 || len(refused.Message) > 400 {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		// What was understood can be written down and is understood the same.
		text, err := xml.Marshal(struct {
			XMLName         xml.Name `xml:"InvalidationBatch"`
			Paths           pathsXML `xml:"Paths"`
			CallerReference string   `xml:"CallerReference"`
		}{Paths: pathsXML{Quantity: len(batch.Paths), Items: some(batch.Paths)}, CallerReference: batch.CallerReference})
		if err != nil {
			t.Fatal(err)
		}
		again, err := readBatch(text)
		if err != nil || again.CallerReference != batch.CallerReference || !slices.Equal(again.Paths, batch.Paths) {
			t.Fatalf("%q became %q: %+v, %v", body, bytes.TrimSpace(text), again, err)
		}
		_ = batch.check(distribution.Distribution{}, Limits{}.withDefaults())
	})
}

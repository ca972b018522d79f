package api

import (
	"encoding/xml"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type invalidationXML struct {
	XMLName         xml.Name `xml:"http://cloudfront.amazonaws.com/doc/2020-05-31/ Invalidation"`
	ID              string   `xml:"Id"`
	Status          string   `xml:"Status"`
	CreateTime      string   `xml:"CreateTime"`
	Paths           pathsXML `xml:"InvalidationBatch>Paths"`
	CallerReference string   `xml:"InvalidationBatch>CallerReference"`
}

func invalidationDocument(i Invalidation) invalidationXML {
	return invalidationXML{ID: i.ID, Status: i.Status(), CreateTime: timestamp(i.Created),
		Paths: pathsXML{Quantity: len(i.Paths), Items: some(i.Paths)}, CallerReference: i.CallerReference}
}

func TestAnInvalidationIsWrittenAsAnEncoderDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.OneOf(rapid.StringMatching(`/[a-z0-9/*]{0,20}`), rapid.String(), rapid.SampledFrom([]string{"<", "a&b", `"'>`, "\n\t\r", "\xff", "\x00"}))
		i := Invalidation{ID: word.Draw(t, "ID"), CallerReference: word.Draw(t, "reference"), Paths: rapid.SliceOfN(word, 0, 3).Draw(t, "paths"),
			Created: time.UnixMilli(rapid.Int64Range(0, 1e13).Draw(t, "created"))}
		if rapid.Bool().Draw(t, "completed") {
			i.Completed = i.Created.Add(time.Second)
		}
		want, err := encode(invalidationDocument(i))
		if err != nil {
			t.Fatal(err)
		}
		if got := invalidationText(i); string(got) != string(want) {
			t.Fatalf("written as\n%s\nand by an encoder as\n%s", got, want)
		}
	})
}

func TestWhatClientsWriteIsPlain(t *testing.T) {
	for name, body := range map[string]string{
		"the AWS CLI":    `<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Paths><Quantity>2</Quantity><Items><Path>/a</Path><Path>/b*</Path></Items></Paths><CallerReference>r</CallerReference></InvalidationBatch>`,
		"the SDK for Go": `<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><CallerReference>r</CallerReference><Paths><Items><Path>/a</Path><Path>/b*</Path></Items><Quantity>2</Quantity></Paths></InvalidationBatch>`,
		"a person":       "<InvalidationBatch>\n\t<Paths>\n <Quantity>2</Quantity>\n <Items>\n <Path>/a</Path> <Path>/b*</Path>\n</Items>\n</Paths>\n<CallerReference>r</CallerReference>\n</InvalidationBatch>\n",
	} {
		b, ok := readPlainBatch([]byte(body))
		if !ok || b.CallerReference != "r" || !slices.Equal(b.Paths, []string{"/a", "/b*"}) {
			t.Errorf("%s: %+v, %t", name, b, ok)
		}
	}
	for _, body := range []string{
		"", "<InvalidationBatch>", "<InvalidationBatch></InvalidationBatch>",
		"<InvalidationBatch><CallerReference>r</CallerReference><Paths><Quantity>0</Quantity></Paths></InvalidationBatch>",
		"<InvalidationBatch><CallerReference>r</CallerReference><Paths><Quantity>1</Quantity><Items><Path>/a</Items></Paths></InvalidationBatch>",
		"<InvalidationBatch><CallerReference>r</CallerReference><Paths><Quantity>1</Quantity><Items><Path>/a&amp;</Path></Items></Paths></InvalidationBatch>",
		"<InvalidationBatch><CallerReference>r</CallerReference><Paths><Quantity>2</Quantity><Items><Path>/a</Path></Items></Paths></InvalidationBatch>",
		"<InvalidationBatch><CallerReference>r</CallerReference><Paths><Quantity>1</Quantity><Items><Path>/a</Path></Items></Paths></InvalidationBatch>x",
	} {
		if b, ok := readPlainBatch([]byte(body)); ok {
			t.Errorf("%q was read as %+v", body, b)
		}
	}
}

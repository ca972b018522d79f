package api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// batchXML reads an InvalidationBatch. Every element is a list, so that one
// which is missing, and one which is there twice, can be told from the rest.
type batchXML struct {
	XMLName         xml.Name
	CallerReference []string `xml:"CallerReference"`
	Paths           []struct {
		Quantity []string `xml:"Quantity"`
		Items    []struct {
			Path  []string      `xml:"Path"`
			Other []strangerXML `xml:",any"`
		} `xml:"Items"`
		Other []strangerXML `xml:",any"`
	} `xml:"Paths"`
	Other []strangerXML `xml:",any"`
}

// strangerXML is an element that does not belong where it is.
type strangerXML struct{ XMLName xml.Name }

// readBatch reads the body of CreateInvalidation. Elements may come in any
// order; the namespace may be missing. What the values say is judged by
// Register.Create, except for the Quantity, which only the XML has.
func readBatch(body []byte) (Batch, error) {
	if batch, ok := readPlainBatch(body); ok {
		return batch, nil
	}
	return readAnyBatch(body)
}

func readAnyBatch(body []byte) (Batch, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return Batch{}, missingBody()
	}
	parsed, err := parseBatch(body)
	if err != nil {
		return Batch{}, malformed("InvalidationBatch", err)
	}
	for _, required := range []struct {
		name  string
		times int
	}{{"callerReference", len(parsed.CallerReference)}, {"paths", len(parsed.Paths)}} {
		if required.times != 1 {
			return Batch{}, notOnce("invalidationBatch."+required.name, required.times)
		}
	}
	return parsed.batch()
}

// parseBatch accepts exactly one document of the right name without foreign
// elements.
func parseBatch(body []byte) (batchXML, error) {
	var parsed batchXML
	decoder := xml.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&parsed); err != nil {
		return batchXML{}, fmt.Errorf("read XML: %w", err)
	}
	if err := onlyMisc(decoder); err != nil {
		return batchXML{}, fmt.Errorf("read XML behind the document: %w", err)
	}
	if name := parsed.XMLName; name.Local != "InvalidationBatch" || name.Space != namespace && name.Space != "" {
		return batchXML{}, fmt.Errorf("the document is %q of %q", name.Local, name.Space)
	}
	for _, stranger := range parsed.strangers() {
		return batchXML{}, fmt.Errorf("unexpected element %q", stranger.XMLName.Local)
	}
	return parsed, nil
}

// strangers returns the elements that are where none is expected.
func (b batchXML) strangers() []strangerXML {
	found := b.Other
	for _, paths := range b.Paths {
		found = append(found, paths.Other...)
		for _, list := range paths.Items {
			found = append(found, list.Other...)
		}
	}
	return found
}

// onlyMisc reads to the end, where nothing but space and comments may be left.
func onlyMisc(decoder *xml.Decoder) error {
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.Comment, xml.ProcInst:
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return errors.New("text behind the document")
			}
		default:
			return errors.New("markup behind the document")
		}
	}
}

// batch checks the Quantity and returns the values. Caller reference and paths
// are there exactly once.
func (b batchXML) batch() (Batch, error) {
	paths := b.Paths[0]
	if len(paths.Quantity) != 1 {
		return Batch{}, notOnce("invalidationBatch.paths.quantity", len(paths.Quantity))
	}
	if len(paths.Items) > 1 {
		return Batch{}, notOnce("invalidationBatch.paths.items", len(paths.Items))
	}
	quantity, err := strconv.Atoi(strings.TrimSpace(paths.Quantity[0]))
	if err != nil {
		return Batch{}, refuse(MalformedInput, "The Quantity %q is no number", clip(paths.Quantity[0]))
	}
	batch := Batch{CallerReference: b.CallerReference[0]}
	if len(paths.Items) == 1 {
		batch.Paths = paths.Items[0].Path
	}
	if quantity != len(batch.Paths) {
		return Batch{}, refuse(InconsistentQuantities, "The value of Quantity is %d, but Items holds %d paths", quantity, len(batch.Paths))
	}
	return batch, nil
}

// notOnce is how CloudFront words that a required element is missing.
func notOnce(member string, times int) error {
	if times == 0 {
		return refuse(MalformedXML, "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", member)
	}
	return refuse(MalformedXML, "1 validation error detected: %d values at '%s', there must be one", times, member)
}

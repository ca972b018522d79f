package api

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// namespace is that of every document in either direction.
const namespace = "http://cloudfront.amazonaws.com/doc/2020-05-31/"

// reply is a successful answer.
type reply struct {
	status int // 0 is 200
	header map[string]string
	body   any // an XML document, maybe encoded by now, or bytes as they are; nil for none
}

// encoded is the text of an XML document.
type encoded []byte

// encode returns the XML text of a document.
func encode(document any) ([]byte, error) {
	text, err := xml.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return append([]byte("<?xml version=\"1.0\"?>\n"), text...), nil
}

// write sends an answer. It fails before the first byte or not at all: a client
// that has gone away is no error.
func write(w http.ResponseWriter, r reply) error {
	var text []byte
	switch body := r.body.(type) {
	case nil:
	case []byte:
		text = body
	case encoded:
		text = body
		w.Header().Set("Content-Type", "text/xml")
	default:
		var err error
		if text, err = encode(body); err != nil {
			return err
		}
		w.Header().Set("Content-Type", "text/xml")
	}
	for name, value := range r.header {
		w.Header().Set(name, value)
	}
	if r.status == http.StatusNoContent {
		w.WriteHeader(r.status)
		return nil
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	if r.status != 0 {
		w.WriteHeader(r.status)
	}
	_, _ = w.Write(text)
	return nil
}

type errorXML struct {
	XMLName   xml.Name `xml:"http://cloudfront.amazonaws.com/doc/2020-05-31/ ErrorResponse"`
	Type      string   `xml:"Error>Type"` // whose fault it is
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

func writeError(w http.ResponseWriter, e *Error, requestID string) {
	kind := "Sender"
	if e.Status >= http.StatusInternalServerError {
		kind = "Receiver"
	}
	// Strings always encode.
	_ = write(w, reply{status: e.Status, body: errorXML{Type: kind, Code: e.Code, Message: e.Message, RequestID: requestID}})
}

// timestamp is a time as CloudFront writes it.
func timestamp(t time.Time) string { return t.UTC().Format(timeLayout) }

const timeLayout = "2006-01-02T15:04:05.000Z"

// some returns list, or nil when it is empty: an encoder leaves out a nil
// pointer together with the Items around it, but not an empty list.
func some[T any](list []T) *[]T {
	if len(list) == 0 {
		return nil
	}
	return &list
}

type pathsXML struct {
	Quantity int       `xml:"Quantity"`
	Items    *[]string `xml:"Items>Path"`
}

// pageXML is what all lists have in common, but for their elements.
type pageXML struct {
	Marker      string `xml:"Marker"`
	NextMarker  string `xml:"NextMarker,omitempty"`
	MaxItems    int    `xml:"MaxItems"`
	IsTruncated bool   `xml:"IsTruncated"`
	Quantity    int    `xml:"Quantity"`
}

type invalidationListXML struct {
	XMLName xml.Name `xml:"http://cloudfront.amazonaws.com/doc/2020-05-31/ InvalidationList"`
	pageXML
	Items *[]invalidationSummaryXML `xml:"Items>InvalidationSummary"`
}

type invalidationSummaryXML struct {
	ID         string `xml:"Id"`
	CreateTime string `xml:"CreateTime"`
	Status     string `xml:"Status"`
}

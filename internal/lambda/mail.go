package lambda

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/source/batch"
	"github.com/freshet/freshet/internal/source/s3event"
)

// mail is an event, unpacked.
type mail struct {
	objects  batch.Result // what has changed in buckets
	notices  []notice     // of EventBridge, about anything but objects
	orders   []order      // what people want
	job      *job         // of CodePipeline
	messages []message    // of SQS, in their order; none if it was not SQS
	again    bool         // a message was delivered before
}

// message is one of SQS.
type message struct {
	id, group string
}

// notice is an EventBridge event.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
type notice struct {
	message string // of SQS, if it came that way

	ID         string          `json:"id"`
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Time       time.Time       `json:"time"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// order is what a direct invocation asks for.
type order struct {
	message string

	Distribution string          `json:"distribution"` // empty: all of the configuration
	Invalidate   []string        `json:"invalidate"`
	Reference    string          `json:"reference"` // the same one again invalidates nothing again; empty: the ID of the request
	Wait         bool            `json:"wait"`      // for completion
	Changes      []orderedChange `json:"changes"`   // objects, in place of patterns
}

type orderedChange struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"` // as it is, not encoded
	Deleted bool   `json:"deleted"`
	Version string `json:"version"`
}

// kind is what a JSON object is, by its shape.
type kind int

const (
	unknown kind = iota
	objects      // s3event reads it
	queued       // a batch of SQS
	topic        // SNS around something
	bus          // EventBridge, about anything but objects
	ordered
	pipelineJob
)

// shape has the properties by which kinds are told apart.
type shape struct {
	Records []struct {
		EventSource  string          `json:"eventSource"`
		EventSourceS string          `json:"EventSource"`
		MessageID    string          `json:"messageId"`
		Body         *string         `json:"body"`
		SNS          *snsMessage     `json:"Sns"`
		Attributes   json.RawMessage `json:"attributes"`
	} `json:"Records"`
	Source     string          `json:"source"`
	DetailType *string         `json:"detail-type"`
	Freshet    *order          `json:"freshet"`
	Job        json.RawMessage `json:"CodePipeline.job"`
	Type       string          `json:"Type"`
	Message    *string         `json:"Message"`
	Event      string          `json:"Event"`
	EventName  string          `json:"eventName"`
}

type snsMessage struct {
	Message string `json:"Message"`
}

func (s *shape) kind() kind {
	switch {
	case len(s.Job) > 0:
		return pipelineJob
	case s.Freshet != nil:
		return ordered
	case s.DetailType != nil && s.Source == "aws.s3":
		return objects
	case s.DetailType != nil:
		return bus
	case s.Type == "Notification" && s.Message != nil:
		return topic
	case s.Event == "s3:TestEvent", s.EventName != "":
		return objects
	case len(s.Records) == 0:
		return unknown
	case s.Records[0].Body != nil:
		return queued
	case s.Records[0].SNS != nil:
		return topic
	}
	return objects
}

// open finds out what an event is and unpacks it. Parts that cannot be read are
// among the problems of its objects, each with the message it came in; an error
// means that nothing of it is known.
func open(payload []byte) (m mail, err error) {
	u := unpacking{mail: &m}
	if err := u.value(payload, batch.Place{}, 0); err != nil {
		return mail{}, fmt.Errorf("read the event: %w", err)
	}
	return m, nil
}

type unpacking struct{ *mail }

// value unpacks one JSON value that stands in depth envelopes.
func (u unpacking) value(text []byte, at batch.Place, depth int) error {
	text = bytes.TrimSpace(text)
	if depth > s3event.MaxEnvelopes {
		return fmt.Errorf("it stands in more than %d envelopes", s3event.MaxEnvelopes)
	}
	var s shape
	if err := json.Unmarshal(text, &s); err != nil && !bytes.HasPrefix(text, []byte("[")) {
		return fmt.Errorf("it is no JSON object: %w", err)
	}
	switch s.kind() {
	case queued:
		return u.queue(s, text, at, depth)
	case topic:
		return u.topic(s, at, depth)
	case bus:
		n := notice{message: at.Message}
		if err := json.Unmarshal(text, &n); err != nil {
			return fmt.Errorf("read an event of EventBridge: %w", err)
		}
		u.notices = append(u.notices, n)
	case ordered:
		o := *s.Freshet
		o.message = at.Message
		if err := o.check(); err != nil {
			return err
		}
		u.orders = append(u.orders, o)
	case pipelineJob:
		if depth > 0 {
			return fmt.Errorf("a job of CodePipeline came through a queue: let the pipeline invoke the function")
		}
		u.job = new(job)
		if err := json.Unmarshal(s.Job, u.job); err != nil {
			return fmt.Errorf("read a job of CodePipeline: %w", err)
		}
	case objects:
		return u.objectsOf(text, at)
	case unknown:
		if bytes.HasPrefix(text, []byte("[")) {
			return u.objectsOf(text, at)
		}
		return unknownShape(text)
	}
	return nil
}

// objectsOf has s3event read what is about objects.
func (u unpacking) objectsOf(text []byte, at batch.Place) error {
	r, err := s3event.Parse(text, s3event.Options{})
	if err != nil {
		return err
	}
	place := func(p *batch.Place) {
		if at.Message != "" || at.Path != "" {
			p.Message, p.Path = at.Message, strings.TrimPrefix(at.Path+": "+p.Path, ": ")
		}
	}
	for i := range r.Changes {
		place(&r.Changes[i].At)
	}
	for i := range r.Skipped {
		place(&r.Skipped[i].At)
	}
	for i := range r.Problems {
		place(&r.Problems[i].At)
	}
	u.objects.Changes = append(u.objects.Changes, r.Changes...)
	u.objects.Skipped = append(u.objects.Skipped, r.Skipped...)
	u.objects.Problems = append(u.objects.Problems, r.Problems...)
	return nil
}

// queue unpacks a batch of SQS. A body that cannot be read is a problem of its
// message alone.
func (u unpacking) queue(s shape, text []byte, at batch.Place, depth int) error {
	for i, record := range s.Records {
		here := at.Inside(fmt.Sprintf("Records[%d]", i))
		if record.MessageID != "" {
			here = batch.Place{Message: record.MessageID}
		}
		var attributes struct {
			ApproximateReceiveCount string
			MessageGroupID          string `json:"MessageGroupId"`
		}
		if len(record.Attributes) > 0 {
			_ = json.Unmarshal(record.Attributes, &attributes) // what is missing there is not needed
		}
		if n, _ := strconv.Atoi(attributes.ApproximateReceiveCount); n > 1 {
			u.again = true
		}
		if record.MessageID != "" {
			u.messages = append(u.messages, message{record.MessageID, attributes.MessageGroupID})
		}
		if record.Body == nil {
			u.problem(here, fmt.Errorf("the message has no body"))
			continue
		}
		if err := u.value([]byte(*record.Body), here, depth+1); err != nil {
			u.problem(here, err)
		}
	}
	return nil
}

func (u unpacking) topic(s shape, at batch.Place, depth int) error {
	if s.Message != nil {
		return u.value([]byte(*s.Message), at, depth+1)
	}
	for i, record := range s.Records {
		here := at.Inside(fmt.Sprintf("Records[%d]", i))
		if record.SNS == nil {
			u.problem(here, fmt.Errorf("the record is none of SNS like its neighbours"))
			continue
		}
		if err := u.value([]byte(record.SNS.Message), here, depth+1); err != nil {
			u.problem(here, err)
		}
	}
	return nil
}

func (u unpacking) problem(at batch.Place, err error) {
	u.objects.Problems = append(u.objects.Problems, batch.Problem{At: at, Err: err})
}

// unknownShape says what was seen in place of what could have been.
func unknownShape(text []byte) error {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(text, &fields) // it has been read before
	names := slices.Sorted(maps.Keys(fields))
	for i, name := range names {
		names[i] = clip(name, 40)
	}
	seen := "no properties"
	if len(names) > 0 {
		seen = clip(strings.Join(names, ", "), 300)
	}
	return fmt.Errorf("its shape is unknown: it has %s; expected Records of S3, SNS or SQS, an event of EventBridge, CodePipeline.job, or {\"freshet\": {\"distribution\": …, \"invalidate\": […]}}", seen)
}

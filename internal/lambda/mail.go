package lambda

import (
	"bytes"
	"encoding/json"
	"errors"
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
	objects   kind = iota // s3event reads it, or says what is wrong with it
	queued                // a batch of SQS
	topic                 // records of SNS
	published             // one message of SNS
	bus                   // EventBridge, about anything but objects
	ordered
	pipelineJob
	unknown
)

// record has the properties by which the records of a list are told apart. What
// does not fit is left empty, so that it is nobody's problem but the record's.
type record struct {
	MessageID      string
	Group          string // of a FIFO queue
	Body           *string
	Queued         bool // by SQS
	DeliveredTwice bool
	SNS            json.RawMessage
}

func readRecord(text []byte) (r record) {
	var fields struct {
		MessageID      json.RawMessage `json:"messageId"`
		EventSource    json.RawMessage `json:"eventSource"`
		EventSourceARN json.RawMessage `json:"eventSourceARN"`
		Body           json.RawMessage `json:"body"`
		Attributes     json.RawMessage `json:"attributes"`
		SNS            json.RawMessage `json:"Sns"`
	}
	if json.Unmarshal(text, &fields) != nil {
		return r // no object at all: whoever reads it says so
	}
	var attributes struct {
		ApproximateReceiveCount string
		MessageGroupID          string `json:"MessageGroupId"`
	}
	_ = json.Unmarshal(fields.Attributes, &attributes) // what is missing there is not needed
	received, _ := strconv.Atoi(attributes.ApproximateReceiveCount)
	r = record{MessageID: textOf(fields.MessageID), SNS: fields.SNS, DeliveredTwice: received > 1}
	r.Queued = textOf(fields.EventSource) == "aws:sqs" || len(fields.Body) > 0
	if strings.HasSuffix(textOf(fields.EventSourceARN), ".fifo") {
		r.Group = attributes.MessageGroupID // other queues have groups, too, but no order to keep
	}
	_ = json.Unmarshal(fields.Body, &r.Body)
	return r
}

// textOf is a JSON string, or empty.
func textOf(text json.RawMessage) (s string) {
	if json.Unmarshal(text, &s) != nil {
		return ""
	}
	return s
}

// kindOf tells what an object is by the names only one kind has. The records are
// those of a list that is queued or of a topic.
func kindOf(fields map[string]json.RawMessage) (k kind, records []record) {
	has := func(name string) bool { _, ok := fields[name]; return ok }
	switch {
	case has("CodePipeline.job"):
		return pipelineJob, nil
	case has("freshet"):
		return ordered, nil
	case has("detail-type") && textOf(fields["source"]) == "aws.s3":
		return objects, nil
	case has("detail-type"):
		return bus, nil
	case textOf(fields["Type"]) == "Notification" && has("Message"):
		return published, nil
	case has("Records"):
		var list []json.RawMessage
		if json.Unmarshal(fields["Records"], &list) != nil {
			return objects, nil
		}
		return kindOfList(list)
	case has("Type") && has("Message"), has("Messages"), has("Body") && has("MessageId"), has("Event"), has("s3"):
		return objects, nil
	}
	return unknown, nil
}

// kindOfList takes a list for what any of its records is: one that is damaged
// beyond recognition must not hide what its neighbours are.
func kindOfList(list []json.RawMessage) (k kind, records []record) {
	for _, text := range list {
		r := readRecord(text)
		records = append(records, r)
		switch {
		case r.Queued:
			k = queued
		case r.SNS != nil && k != queued:
			k = topic
		}
	}
	return k, records
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
	if bytes.HasPrefix(text, []byte("[")) {
		return u.array(text, at, depth)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return u.objectsOf(text, at) // lines of JSON, or none
	}
	k, records := kindOf(fields)
	switch k {
	case queued:
		u.queue(records, at, depth)
		return nil
	case topic:
		u.topic(records, at, depth)
		return nil
	case published:
		return u.message(text, at, depth)
	case bus:
		n := notice{message: at.Message}
		if err := json.Unmarshal(text, &n); err != nil {
			return fmt.Errorf("read an event of EventBridge: %w", err)
		}
		u.notices = append(u.notices, n)
		return nil
	case ordered:
		return u.order(fields["freshet"], at)
	case pipelineJob:
		return u.pipeline(fields["CodePipeline.job"], depth)
	case unknown:
		return unknownShape(fields)
	}
	return u.objectsOf(text, at)
}

// array unpacks what EventBridge's pipes and people put together.
func (u unpacking) array(text []byte, at batch.Place, depth int) error {
	var list []json.RawMessage
	if err := json.Unmarshal(text, &list); err != nil {
		return u.objectsOf(text, at)
	}
	for i, element := range list {
		if r := readRecord(element); r.Queued {
			u.queue([]record{r}, at, depth)
			continue
		}
		here := at.Inside(fmt.Sprintf("[%d]", i))
		if err := u.value(element, here, depth+1); err != nil {
			u.problem(here, err)
		}
	}
	return nil
}

func (u unpacking) order(text []byte, at batch.Place) error {
	o := order{message: at.Message}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a word that is misspelt is a wish that is not met
	if err := decoder.Decode(&o); err != nil {
		return fmt.Errorf("read freshet: %w", err)
	}
	if err := o.check(); err != nil {
		return err
	}
	u.orders = append(u.orders, o)
	return nil
}

func (u unpacking) pipeline(text []byte, depth int) error {
	if depth > 0 {
		return errors.New("a job of CodePipeline came through a queue: let the pipeline invoke the function")
	}
	u.job = new(job)
	if err := json.Unmarshal(text, u.job); err != nil {
		return fmt.Errorf("read a job of CodePipeline: %w", err)
	}
	if u.job.ID == "" {
		return errors.New("read a job of CodePipeline: it has no id")
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
func (u unpacking) queue(records []record, at batch.Place, depth int) {
	for i, r := range records {
		here := at.Inside(fmt.Sprintf("Records[%d]", i))
		if at.Message == "" && r.MessageID != "" { // the outermost one is what can be answered for
			here = batch.Place{Message: r.MessageID}
			u.messages = append(u.messages, message{r.MessageID, r.Group})
		}
		u.again = u.again || r.DeliveredTwice
		if r.Body == nil {
			u.problem(here, errors.New("it is no message of SQS with a body"))
			continue
		}
		if err := u.value([]byte(*r.Body), here, depth+1); err != nil {
			u.problem(here, err)
		}
	}
}

func (u unpacking) topic(records []record, at batch.Place, depth int) {
	for i, r := range records {
		here := at.Inside(fmt.Sprintf("Records[%d]", i))
		if err := u.message(r.SNS, here, depth); err != nil {
			u.problem(here, err)
		}
	}
}

// message unpacks one of SNS.
func (u unpacking) message(text []byte, at batch.Place, depth int) error {
	var m struct{ Message *string }
	if len(text) == 0 || json.Unmarshal(text, &m) != nil || m.Message == nil {
		return errors.New("it is no message of SNS")
	}
	return u.value([]byte(*m.Message), at, depth+1)
}

func (u unpacking) problem(at batch.Place, err error) {
	u.objects.Problems = append(u.objects.Problems, batch.Problem{At: at, Err: err})
}

// unknownShape says what was seen in place of what could have been.
func unknownShape(fields map[string]json.RawMessage) error {
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

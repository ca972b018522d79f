package s3event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/source/batch"
)

// nested reads a value that has neighbours: what is wrong with it is its own
// problem.
func (r *reader) nested(data []byte, at batch.Place, depth int) {
	if r.full() {
		return
	}
	if err := r.value(data, at, depth); err != nil {
		r.problem(at, err)
	}
}

// value reads whatever carries events. depth is the number of envelopes around
// it. An error means that nothing of it was read.
func (r *reader) value(data []byte, at batch.Place, depth int) error {
	data = bytes.TrimSpace(data)
	switch {
	case depth > MaxEnvelopes:
		return fmt.Errorf("it stands in more than %d envelopes", MaxEnvelopes)
	case len(data) == 0:
		return errors.New("it is empty")
	case data[0] == '{':
		return r.object(data, at, depth)
	case data[0] == '[':
		var values []json.RawMessage
		if err := decode(data, &values); err != nil {
			return err
		}
		for i, v := range values {
			r.nested(v, at.Inside(fmt.Sprintf("[%d]", i)), depth+1)
		}
		return nil
	case json.Valid(data):
		return fmt.Errorf("%s carries no events: expected a JSON object or array", clip(string(data)))
	default:
		return fmt.Errorf("it is not JSON: %q", clip(string(data)))
	}
}

// object tells the shapes apart by the names only one of them has.
func (r *reader) object(data []byte, at batch.Place, depth int) error {
	var fields map[string]json.RawMessage
	if err := decode(data, &fields); err != nil {
		return err
	}
	has := func(name string) bool { _, ok := fields[name]; return ok }
	switch {
	case has("Records"):
		return r.list(fields["Records"], "Records", at, depth)
	case has("Messages"):
		return r.list(fields["Messages"], "Messages", at, depth)
	case has("s3"), has("Sns"), has("body"), has("Body"):
		r.element(data, at, depth)
		return nil
	case has("detail-type"):
		r.bridged(data, at)
		return nil
	case has("Type") && has("Message"):
		var n notification
		if err := decode(data, &n); err != nil {
			return err
		}
		r.notification(n, at, at.Inside("Message"), depth)
		return nil
	case isTestEvent(fields):
		r.skip(at, "s3:TestEvent", noneTest)
		return nil
	default:
		return unknownShape(fields)
	}
}

// isTestEvent recognises what S3 and versitygw send to a new destination to
// see whether it is there.
func isTestEvent(fields map[string]json.RawMessage) bool {
	return string(fields["Event"]) == `"s3:TestEvent"`
}

func unknownShape(fields map[string]json.RawMessage) error {
	const most = 12
	names := slices.Sorted(maps.Keys(fields))
	if len(names) == 0 {
		return errors.New("it carries no events: an object without fields")
	}
	more := ""
	if len(names) > most {
		names, more = names[:most], ", …"
	}
	for i := range names {
		names[i] = fmt.Sprintf("%q", clip(names[i]))
	}
	return fmt.Errorf("it carries no events: an object with %s%s is neither an S3 notification, nor EventBridge, SNS or SQS", strings.Join(names, ", "), more)
}

// list reads the array called name.
func (r *reader) list(data []byte, name string, at batch.Place, depth int) error {
	var elements []json.RawMessage
	if err := decode(data, &elements); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if elements == nil {
		return fmt.Errorf("%s: null where an array belongs", name)
	}
	for i, e := range elements {
		if r.full() {
			break
		}
		r.element(e, at.Inside(fmt.Sprintf("%s[%d]", name, i)), depth)
	}
	return nil
}

// element is one of a list: a record of S3's, or a message around some. Names
// match in either letter case, so the fields serve for what a Lambda gets and
// for what the SQS API returns.
type element struct {
	EventSource string          `json:"eventSource"`
	S3          json.RawMessage `json:"s3"`
	Sns         *notification   `json:"Sns"`
	MessageID   string          `json:"messageId"`
	Body        *string         `json:"body"`
}

func (r *reader) element(data []byte, at batch.Place, depth int) {
	var e element
	if err := decode(data, &e); err != nil {
		r.problem(at, err)
		return
	}
	switch {
	case e.S3 != nil:
		r.record(data, at)
	case e.Sns != nil:
		r.notification(*e.Sns, at, at.Inside("Sns"), depth)
	case e.Body != nil || e.EventSource == "aws:sqs":
		r.message(e, at, depth)
	case e.EventSource == "aws:s3":
		r.problem(at, errors.New("the record has no s3 section"))
	case e.EventSource != "":
		r.problem(at, fmt.Errorf("eventSource %q is neither S3, SNS nor SQS", clip(e.EventSource)))
	default:
		r.problem(at, errors.New("it is neither a record of S3 nor a message of SNS or SQS"))
	}
}

// message opens an SQS message. The outermost one gives its ID to all that is
// in it, since it is the one that can be reported as failed.
func (r *reader) message(e element, at batch.Place, depth int) {
	if at.Message == "" && e.MessageID != "" {
		at = batch.Place{Message: e.MessageID}
	} else {
		at = at.Inside("body")
	}
	if e.Body == nil {
		r.problem(at, errors.New("the message has no body"))
		return
	}
	r.nested([]byte(*e.Body), at, depth+1)
}

// notification is a message of SNS.
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
type notification struct {
	Type    string  `json:"Type"`
	Message *string `json:"Message"`
}

// notification opens a message that stands at outer and carries its events
// at inner.
func (r *reader) notification(n notification, outer, inner batch.Place, depth int) {
	switch {
	case n.Type == "SubscriptionConfirmation" || n.Type == "UnsubscribeConfirmation":
		r.skip(outer, n.Type, "SNS asks to confirm a subscription: open its SubscribeURL to do so")
	case n.Type != "Notification":
		r.problem(outer, fmt.Errorf("type %q is unknown to SNS", clip(n.Type)))
	case n.Message == nil:
		r.problem(outer, errors.New("the SNS notification has no message"))
	default:
		r.nested([]byte(*n.Message), inner, depth+1)
	}
}

package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// text is a value of a JSON line, which is a string in the logs of CloudFront.
// Numbers are taken too, since they come out of what people convert logs with.
type text []byte

func (t *text) UnmarshalJSON(raw []byte) error {
	switch {
	case string(raw) == "null":
		*t = nil
		return nil
	case raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0:
		*t = value(bytes.Clone(raw[1 : len(raw)-1]))
		return nil
	case raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		*t = value([]byte(s))
		return nil
	case raw[0] == '{' || raw[0] == '[' || raw[0] == 't' || raw[0] == 'f':
		return errors.New("a field is neither a string nor a number")
	}
	*t = bytes.Clone(raw)
	return nil
}

// json reads a line of standard logging v2 in JSON, whose members have the names
// of the columns.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging.html
func (l *log) json(line []byte) (Hit, error) {
	var fields struct {
		Date     text `json:"date"`
		Time     text `json:"time"`
		Millis   text `json:"timestamp(ms)"`
		Host     text `json:"x-host-header"`
		Domain   text `json:"cs(Host)"`
		Method   text `json:"cs-method"`
		Stem     text `json:"cs-uri-stem"`
		Query    text `json:"cs-uri-query"`
		Status   text `json:"sc-status"`
		Bytes    text `json:"sc-bytes"`
		Location text `json:"x-edge-location"`
		Result   text `json:"x-edge-result-type"`
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return Hit{}, fmt.Errorf("read JSON: %w", err)
	}
	return l.hit(record{
		date: fields.Date, time: fields.Time, millis: fields.Millis, host: fields.Host, domain: fields.Domain,
		method: fields.Method, stem: fields.Stem, query: fields.Query,
		status: fields.Status, bytes: fields.Bytes, location: fields.Location, result: fields.Result,
	})
}

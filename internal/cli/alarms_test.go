package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/smithy-go/encoding/cbor"
)

// alarms plays CloudWatch, which moto knows by its former protocol only: it
// keeps alarms as they were put.
// https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
type alarms struct {
	mu   sync.Mutex
	kept map[string]cbor.Map
}

func newAlarms(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(&alarms{kept: make(map[string]cbor.Map)})
	t.Cleanup(s.Close)
	return s
}

const arnOfAlarm = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:"

func (a *alarms) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	decoded, err := cbor.Decode(text)
	in, ok := decoded.(cbor.Map)
	if err != nil || !ok || r.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
		http.Error(w, "no request of RPC v2", http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	out := cbor.Map{}
	switch r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:] {
	case "PutMetricAlarm":
		name := string(in["AlarmName"].(cbor.String))
		in["AlarmArn"] = cbor.String(arnOfAlarm + name)
		if before := a.kept[name]; before != nil {
			in["Tags"] = before["Tags"] // they are set with a new alarm only
		}
		a.kept[name] = in
	case "DescribeAlarms":
		found := cbor.List{}
		for _, name := range in["AlarmNames"].(cbor.List) {
			if alarm := a.kept[string(name.(cbor.String))]; alarm != nil {
				found = append(found, alarm)
			}
		}
		out["MetricAlarms"] = found
	case "ListTagsForResource":
		out["Tags"] = a.kept[strings.TrimPrefix(string(in["ResourceARN"].(cbor.String)), arnOfAlarm)]["Tags"]
	case "DeleteAlarms":
		for _, name := range in["AlarmNames"].(cbor.List) {
			delete(a.kept, string(name.(cbor.String)))
		}
	default:
		http.Error(w, r.URL.Path, http.StatusNotFound)
		return
	}
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("Content-Type", "application/cbor")
	_, _ = w.Write(cbor.Encode(out))
}

package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	ltypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func noticeOf(source, kind string, detail map[string]any) map[string]any {
	return map[string]any{"version": "0", "id": "n-1", "source": source, "detail-type": kind, "time": time.Now().UTC().Format(time.RFC3339), "detail": detail}
}

func pushed(branch, before, after string) map[string]any {
	detail := map[string]any{"event": "referenceUpdated", "repositoryName": "pages", "referenceType": "branch", "referenceName": branch, "commitId": after}
	if before != "" {
		detail["oldCommitId"] = before
	}
	return noticeOf("aws.codecommit", "CodeCommit Repository State Change", detail)
}

// codeCommit answers GetDifferences, page by page, what the SDK's own client asks
// and reads.
func codeCommit(t *testing.T, asked *[]string) Commits {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		*asked = append(*asked, r.Header.Get("X-Amz-Target")+" "+string(text))
		var in struct{ NextToken string }
		_ = json.Unmarshal(text, &in)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		blob := func(path string) string {
			return fmt.Sprintf(`{"blobId":"b","path":%q,"mode":"100644"}`, path)
		}
		old := func(path string) string { return strings.Replace(blob(path), `"b"`, `"a"`, 1) }
		if in.NextToken == "" {
			_, _ = fmt.Fprintf(w, `{"NextToken":"t","differences":[{"changeType":"A","afterBlob":%s},{"changeType":"M","beforeBlob":%s,"afterBlob":%s}]}`,
				blob("public/new.html"), old("public/a b.html"), blob("public/a b.html"))
			return
		}
		_, _ = fmt.Fprintf(w, `{"differences":[{"changeType":"D","beforeBlob":%s},{"changeType":"M","beforeBlob":%s,"afterBlob":%s}]}`,
			old("public/gone.html"), old("README.md"), blob("README.md"))
	}))
	t.Cleanup(s.Close)
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	return codecommit.New(codecommit.Options{
		BaseEndpoint: &s.URL, Region: "eu-west-1", Retryer: aws.NopRetryer{}, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""),
	})
}

func TestCommit(t *testing.T) {
	const document = `{codecommit: [{repository: pages, path: public, bucket: site, prefix: v2}], plan: {max_wildcards: 0}}`
	for name, c := range map[string]struct {
		event map[string]any
		asked string // a part of the first question
		sent  string
	}{
		"push":           {pushed("main", "c1", "c2"), `"beforeCommitSpecifier":"c1"`, "/v2/a%20b.html /v2/a+b.html /v2/gone.html /v2/new.html"},
		"first push":     {pushed("main", "", "c2"), `"afterCommitSpecifier":"c2"`, "/v2/a%20b.html /v2/a+b.html /v2/gone.html /v2/new.html"},
		"another branch": {pushed("draft", "c1", "c2"), "", ""},
		"branch deleted": {pushed("main", "c1", ""), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			f := newFunction(t, newCDN(), document, func(w *World) { w.Commits = codeCommit(t, &asked) })
			if answer, err := f.invoke(t.Context(), c.event); err != nil {
				t.Fatal(answer, err)
			}
			if got := strings.Join(f.cdn.patterns(), " "); got != c.sent {
				t.Errorf("sent %q, want %q", got, c.sent)
			}
			if c.asked == "" {
				if len(asked) > 0 {
					t.Errorf("asked %q", asked)
				}
				return
			}
			if len(asked) != 2 || !strings.HasPrefix(asked[0], "CodeCommit_20150413.GetDifferences ") || !strings.Contains(asked[0], `"repositoryName":"pages"`) ||
				!strings.Contains(asked[0], c.asked) || !strings.Contains(asked[1], `"NextToken":"t"`) {
				t.Errorf("asked %q", asked)
			}
		})
	}
	f := newFunction(t, newCDN(), document, nil)
	if answer, err := f.invoke(t.Context(), records(letter("m1", pushed("main", "c1", "c2")), letter("m2", records(put("a", 1))))); err != nil || answer != failures("m1") || len(f.cdn.patterns()) != 1 {
		t.Error("without a client:", answer, err, f.cdn.patterns())
	}
}

// deployed answers GetFunction with one status after the other.
type deployed struct{ states []ltypes.LastUpdateStatus }

func (d *deployed) GetFunction(context.Context, *lambda.GetFunctionInput, ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error) {
	if len(d.states) == 0 {
		return nil, errors.New("AccessDenied")
	}
	state := d.states[0]
	if len(d.states) > 1 {
		d.states = d.states[1:]
	}
	return &lambda.GetFunctionOutput{Configuration: &ltypes.FunctionConfiguration{LastUpdateStatus: state}}, nil
}

func TestReactions(t *testing.T) {
	const document = `{distributions: [E1], on: [{function: render, invalidate: ["/r/*"]}, {stack: site, invalidate: ["/s"]}]}`
	call := func(name, function string, more ...string) map[string]any {
		detail := map[string]any{"eventSource": "lambda.amazonaws.com", "eventName": name, "requestParameters": map[string]any{"functionName": function}}
		if len(more) > 0 {
			detail["errorCode"] = more[0]
		}
		return noticeOf("aws.lambda", "AWS API Call via CloudTrail", detail)
	}
	stack := func(name, status string) map[string]any {
		return noticeOf("aws.cloudformation", "CloudFormation Stack Status Change", map[string]any{
			"stack-id": "arn:aws:cloudformation:eu-west-1:1:stack/" + name + "/6a1f", "status-details": map[string]any{"status": status},
		})
	}
	ok, busy, broken := ltypes.LastUpdateStatusSuccessful, ltypes.LastUpdateStatusInProgress, ltypes.LastUpdateStatusFailed
	for name, c := range map[string]struct {
		event  map[string]any
		states []ltypes.LastUpdateStatus
		sent   string
		err    string
	}{
		"stack":                {event: stack("site", "UPDATE_COMPLETE"), sent: "/s"},
		"stack, under way":     {event: stack("site", "UPDATE_IN_PROGRESS")},
		"stack, another":       {event: stack("other", "UPDATE_COMPLETE")},
		"code":                 {event: call("UpdateFunctionCode20150331v2", "render"), states: []ltypes.LastUpdateStatus{busy, busy, ok}, sent: "/r/*"},
		"code, by ARN":         {event: call("UpdateFunctionCode20150331v2", "arn:aws:lambda:eu-west-1:1:function:render:live"), states: []ltypes.LastUpdateStatus{ok}, sent: "/r/*"},
		"code that is broken":  {event: call("UpdateFunctionCode20150331v2", "render"), states: []ltypes.LastUpdateStatus{busy, broken}},
		"code that is denied":  {event: call("UpdateFunctionCode20150331v2", "render", "AccessDenied")},
		"code nobody sees":     {event: call("UpdateFunctionCode20150331v2", "render"), err: "AccessDenied"},
		"alias":                {event: call("UpdateAlias20150331", "render"), sent: "/r/*"},
		"a version":            {event: call("PublishVersion20150331", "render")},
		"another function":     {event: call("UpdateFunctionCode20150331v2", "other")},
		"another service":      {event: noticeOf("aws.ec2", "EC2 Instance State-change Notification", nil), err: `"aws.ec2" is not known here`},
		"another S3 like call": {event: noticeOf("aws.cloudformation", "CloudFormation Resource Status Change", nil), err: "is not known here"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				on := newCDN()
				for range 2 { // EventBridge delivers twice at times
					f := newFunction(t, on, document, func(w *World) { w.Updates = &deployed{c.states} })
					_, err := f.invoke(t.Context(), c.event)
					if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
						t.Errorf("got %v, want %q", err, c.err)
					}
				}
				if got := strings.Join(on.patterns(), " "); got != c.sent {
					t.Errorf("sent %q, want %q", got, c.sent)
				}
			})
		})
	}
}

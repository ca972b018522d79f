package alarm_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/freshet/freshet/internal/alarm"
)

func notice() alarm.Notice {
	return alarm.Notice{
		ID: "0123456789abcdef", Alarm: alarm.Stale, State: alarm.Raised, Distribution: "E1", Since: time.Unix(1_800_000_000, 0).UTC(), Changes: 1,
		Examples: []alarm.Example{{Origin: "site", Key: "é.html", ChangedAt: time.Unix(1_800_000_000, 0).UTC(), Reason: "old <bytes>"}}, Text: "one",
	}
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestAWebhookIsSigned(t *testing.T) {
	var got alarm.Notice
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seconds, err := strconv.ParseInt(r.Header.Get(alarm.TimeHeader), 10, 64)
		if at := time.Unix(seconds, 0); err != nil || time.Since(at).Abs() > time.Minute || r.Header.Get(alarm.SignatureHeader) != alarm.Sign("s3cret", at, body) {
			t.Errorf("headers %v", r.Header)
		}
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.URL.Path != "/hook/T0K3N" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Error(err)
		}
	})
	if err := alarm.NewWebhook(url+"/hook/T0K3N", "s3cret").Send(t.Context(), notice()); err != nil {
		t.Fatal(err)
	}
	if got.ID != notice().ID || got.Examples[0] != notice().Examples[0] {
		t.Errorf("%+v", got)
	}
	// RFC 4231 has no vector with our time in front; this one was made with openssl.
	if got := alarm.Sign("key", time.Unix(1, 0), []byte("{}")); got != "sha256=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224" {
		t.Errorf("signature %s", got)
	}
}

func TestAWebhookThatDoesNotTakeIt(t *testing.T) {
	for status, lasting := range map[int]bool{500: false, 503: false, 429: false, 408: false, 400: true, 404: true, 302: true} {
		followed := false
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			followed = followed || r.URL.Path == "/elsewhere"
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		})
		err := alarm.NewWebhook(url+"/T0K3N", "").Send(t.Context(), notice())
		if err == nil || errors.Is(err, alarm.ErrRefused) != lasting || strings.Contains(err.Error(), "T0K3N") || followed {
			t.Errorf("%d: %v, redirect followed: %v", status, err, followed)
		}
	}
	err := alarm.NewWebhook("http://127.0.0.1:1/T0K3N", "").Send(t.Context(), notice())
	if err == nil || errors.Is(err, alarm.ErrRefused) || strings.Contains(err.Error(), "T0K3N") {
		t.Errorf("nobody there: %v", err)
	}
}

// topic is an SNS stand-in: it takes what the SDK writes, as SNS documents it.
// https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
func topic(t *testing.T, arn string, answer func(http.ResponseWriter, url.Values)) *alarm.Topic {
	t.Helper()
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/sns/aws4_request") {
			t.Errorf("%v, %v", err, r.Header)
		}
		answer(w, r.PostForm)
	})
	return &alarm.Topic{ARN: arn, Client: sns.New(sns.Options{
		BaseEndpoint: &endpoint, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AK", "SK", ""),
		Retryer: aws.NopRetryer{}, HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})}
}

const published = `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>1</MessageId></PublishResult><ResponseMetadata><RequestId>2</RequestId></ResponseMetadata></PublishResponse>`

func TestATopic(t *testing.T) {
	for _, arn := range []string{"arn:aws:sns:eu-west-1:123456789012:alarms", "arn:aws:sns:eu-west-1:123456789012:alarms.fifo"} {
		var got url.Values
		topic := topic(t, arn, func(w http.ResponseWriter, v url.Values) { got = v; _, _ = io.WriteString(w, published) })
		if err := topic.Send(t.Context(), notice()); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"Action": "Publish", "Version": "2010-03-31", "TopicArn": arn, "Subject": "freshet: stale raised E1",
			"MessageAttributes.entry.1.Value.DataType": "String",
		} {
			if got.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, got.Get(name), want)
			}
		}
		var n alarm.Notice
		if err := json.Unmarshal([]byte(got.Get("Message")), &n); err != nil || n.Examples[0].Key != "é.html" {
			t.Errorf("%q, %v", got.Get("Message"), err)
		}
		attributes := make(map[string]string)
		for i := 1; got.Has("MessageAttributes.entry." + strconv.Itoa(i) + ".Name"); i++ {
			entry := "MessageAttributes.entry." + strconv.Itoa(i)
			attributes[got.Get(entry+".Name")] = got.Get(entry + ".Value.StringValue")
		}
		if len(attributes) != 3 || attributes["alarm"] != "stale" || attributes["state"] != "raised" || attributes["distribution"] != "E1" {
			t.Errorf("attributes %v", attributes)
		}
		fifo := strings.HasSuffix(arn, ".fifo")
		if got.Has("MessageGroupId") != fifo || fifo && got.Get("MessageDeduplicationId") != notice().ID {
			t.Errorf("%v", got)
		}
	}
}

func TestATopicThatDoesNotTakeIt(t *testing.T) {
	for code, lasting := range map[string]bool{"NotFound": true, "InvalidParameter": true, "AuthorizationError": false, "InternalError": false, "Throttled": false} {
		topic := topic(t, "arn:aws:sns:eu-west-1:123456789012:alarms", func(w http.ResponseWriter, _ url.Values) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>`+code+`</Code><Message>no</Message></Error><RequestId>2</RequestId></ErrorResponse>`)
		})
		if err := topic.Send(t.Context(), notice()); err == nil || errors.Is(err, alarm.ErrRefused) != lasting {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestANewTopicKnowsItsRegion(t *testing.T) {
	topic, err := alarm.NewTopic(t.Context(), "arn:aws:sns:ap-south-1:123456789012:alarms")
	if err != nil || topic.Client.Options().Region != "ap-south-1" {
		t.Errorf("%v", err)
	}
	if _, err := alarm.NewTopic(t.Context(), "alarms"); err == nil {
		t.Error("no ARN is taken")
	}
}

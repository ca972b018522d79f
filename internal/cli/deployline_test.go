package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/journal"
)

// A bucket whose events go to somebody that looks like one who invalidates is
// left to them; other functions are no reason to.
func TestFollower(t *testing.T) {
	const queue = `<QueueConfiguration><Id>1</Id><Queue>arn:aws:sqs:eu-west-1:1:freshet-www</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration>`
	const thumbnails = `<CloudFunctionConfiguration><Id>2</Id><CloudFunction>arn:aws:lambda:eu-west-1:1:function:thumbnails</CloudFunction><Event>s3:ObjectCreated:*</Event></CloudFunctionConfiguration>`
	const byHand = `<TopicConfiguration><Id>3</Id><Topic>arn:aws:sns:eu-west-1:1:Invalidate-CloudFront</Topic><Event>s3:ObjectCreated:*</Event></TopicConfiguration>`
	for rules, want := range map[string]string{
		"": "", thumbnails: "", queue: "the queue arn:aws:sqs:eu-west-1:1:freshet-www", thumbnails + byHand: "the topic arn:aws:sns:eu-west-1:1:Invalidate-CloudFront",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`+rules+`</NotificationConfiguration>`)
		}))
		client := s3.New(s3.Options{
			BaseEndpoint: &server.URL, UsePathStyle: true, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
			Retryer: aws.NopRetryer{},
		})
		got, err := follower(t.Context(), client, "www")
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", rules, got, err)
		}
		server.Close()
	}
}

// What a deploy has left is judged by what the journal says of it last.
func TestBecameOf(t *testing.T) {
	d := &deploy.Deploy{Bucket: "b", Unproven: []string{"dead", "moving", "other", "retried", "unknown"}}
	verdicts, err := becameOf(d, func(each func(journal.Record) error) error {
		for _, r := range []journal.Record{
			{Key: "retried", State: journal.Received}, {Key: "retried", Distribution: "E1", State: journal.Verified}, {Key: "retried", Distribution: "E2", State: journal.Dead, Reason: "no"},
			{Key: "dead", State: journal.Dead, Reason: "refused"}, {Key: "other", State: journal.Dead},
			{Key: "other", State: journal.Received}, {Key: "other", Distribution: "E1", State: journal.Verified},
			{Key: "moving", Distribution: "E1", State: journal.Dead}, {Key: "moving", State: journal.Received}, {Key: "moving", Distribution: "E1", State: journal.Sent},
			{Key: "retried", Distribution: "E2", State: journal.Verified}, {Key: "fresh", State: journal.Dead},
		} {
			if r.Origin = "b"; each(r) != nil {
				t.Error("an error")
			}
		}
		return each(journal.Record{Origin: "c", Key: "unknown", State: journal.Dead})
	})
	got := ""
	for _, v := range verdicts {
		got += v.Target.Key + " " + string(v.State) + " " + v.Reason + "\n"
	}
	if want := "dead stale refused\nmoving stale it is only sent\nother fresh \nretried fresh \nunknown fresh \n"; got != want || err != nil {
		t.Errorf("%s%v", got, err)
	}
}

// Every change of a deploy is waited for, at every distribution, and none of
// before it is taken for one.
func TestWatched(t *testing.T) {
	since := time.Unix(1000, 0)
	d := &deploy.Deploy{Bucket: "b", Changes: []freshet.Change{{Key: "a"}, {Key: "c"}, {Key: "d"}}}
	w := newWatched(d, since)
	see := func(id, key, distribution string, s journal.State, at time.Time) {
		w.see(journal.Record{ID: id, Origin: "b", Key: key, Distribution: distribution, State: s, ChangedAt: at})
	}
	see("0", "a", "E1", journal.Verified, since.Add(-time.Second))
	w.see(journal.Record{ID: "9", Origin: "other", Key: "a", State: journal.Verified, ChangedAt: since})
	if len(w.open) != 3 {
		t.Fatalf("open: %v", w.open)
	}
	for _, s := range []journal.State{journal.Received, journal.Planned} {
		see("1", "a", "", s, since)
	}
	see("1", "a", "E1", journal.Planned, since)
	see("1", "a", "E2", journal.Planned, since)
	see("1", "a", "E1", journal.Verified, since)
	if _, open := w.open["a"]; !open {
		t.Error("verified at one of two distributions is taken for enough")
	}
	see("1", "a", "E2", journal.Verified, since)
	see("2", "c", "", journal.Received, since)
	see("2", "c", "", journal.Verified, since) // nothing caches it
	see("3", "d", "E1", journal.Dead, since)
	if len(w.open) != 0 {
		t.Errorf("open: %v", w.open)
	}
	stale := 0
	for _, v := range w.verdicts {
		if v.State != freshet.Fresh {
			stale++
		}
	}
	if len(w.verdicts) != 3 || stale != 1 {
		t.Errorf("%+v", w.verdicts)
	}
}

func TestParseS3URL(t *testing.T) {
	for text, want := range map[string][2]string{
		"s3://b": {"b", ""}, "s3://b/": {"b", ""}, "s3://b/x/y": {"b", "x/y/"}, "s3://b/x/": {"b", "x/"}, "b": {}, "s3://": {}, "s3:///x": {}, "s3://b//x": {}, "s3://b/x//y": {},
	} {
		bucket, prefix, err := parseS3URL(text)
		if bad := want[0] == ""; (err != nil) != bad || !bad && (bucket != want[0] || prefix != want[1]) {
			t.Errorf("%s: %q %q %v", text, bucket, prefix, err)
		}
	}
}

func TestAtomicLeads(t *testing.T) {
	for prefix, paths := range map[string]map[string]string{
		"":      {"": "", "/releases/0a1b": "releases/0a1b/", "/other": "-", "/releases/a/b": "-", "/releases": "-"},
		"docs/": {"/docs": "docs/", "/docs/releases/0a": "docs/releases/0a/", "": "-", "/releases/0a": "-", "/docs2": "-"},
	} {
		l := &leading{deploySite: &deploySite{prefix: prefix}}
		for path, want := range paths {
			got, ok := l.leadOfPath(path)
			if ok != (want != "-") || ok && got != want {
				t.Errorf("%s below %q: %q, %v", path, prefix, got, ok)
			}
		}
	}
	if !strings.HasSuffix((&leading{deploySite: &deploySite{prefix: "docs/"}}).pathOf("0a"), "/docs/releases/0a") {
		t.Error("the origin path is another")
	}
}

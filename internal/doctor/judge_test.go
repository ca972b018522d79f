package doctor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/doctor"
	"github.com/freshet/freshet/internal/route"
)

const optimized = "658327ea-f89d-4fab-a63d-7e88639e58f6"

// healthy is an account in which nothing is wrong.
func healthy() doctor.Seen {
	d := distribution.ForBucket("E1", "www")
	d.DomainName = "d1.cloudfront.net"
	d.Config.Origins[0].DomainName = "www.s3.eu-west-1.amazonaws.com"
	d.Config.DefaultCacheBehavior.CachePolicyID = optimized
	return doctor.Seen{
		Bucket: "www", Region: "eu-west-1",
		Caller: doctor.Answer[doctor.Caller]{Is: doctor.Caller{Account: "1", ARN: "arn:aws:iam::1:role/deploy"}},
		Home:   doctor.Answer[string]{Is: "eu-west-1"},
		Rules: doctor.Answer[doctor.Notifications]{Is: doctor.Notifications{Rules: []doctor.Rule{
			{To: "arn:aws:sqs:eu-west-1:1:changes", Events: []string{"s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"}},
		}}},
		Expiring: doctor.Answer[bool]{Is: true},
		Listing:  doctor.Answer[doctor.Listing]{Is: doctor.Listing{Keys: []string{"index.html", "a b.html"}}},
		Pages:    []doctor.Page{{Key: "index.html", CacheControl: "max-age=0, s-maxage=31536000"}},
		Sites: []doctor.Site{{
			ID: "E1", Status: "Deployed", Account: "1", Distribution: d,
			Front: doctor.Answer[doctor.Reply]{Is: doctor.Reply{Status: 200}},
			Trial: &doctor.Trial{Key: "freshet-canary-x.txt", Steps: []doctor.Step{{Name: "put", Took: 1234567}}},
		}},
	}
}

func TestHealthy(t *testing.T) {
	findings := doctor.Judge(healthy())
	var checks []string
	for _, f := range findings {
		checks = append(checks, f.Check)
		if f.Level != doctor.OK || f.Saw == "" || f.Do != "" {
			t.Errorf("%+v", f)
		}
	}
	want := []string{"credentials", "region", "distribution", "reachable", "origin", "ttl", "errors", "functions", "quota", "canary", "events", "keys", "browsers"}
	if !slices.Equal(checks, want) {
		t.Errorf("checks %q, want %q", checks, want)
	}
	if doctor.Worst(findings) != doctor.OK {
		t.Error("the worst is not ok")
	}
}

func errorOf(code string) error { return &smithy.GenericAPIError{Code: code, Message: "said so"} }

func site(s *doctor.Seen) *doctor.Site         { return &s.Sites[0] }
func conf(s *doctor.Seen) *distribution.Config { return &s.Sites[0].Distribution.Config }
func rule(s *doctor.Seen) *doctor.Rule         { return &s.Rules.Is.Rules[0] }
func viewerRequest(s *doctor.Seen, name string) {
	conf(s).DefaultCacheBehavior.FunctionAssociations = []distribution.FunctionAssociation{{EventType: "viewer-request", FunctionARN: "arn:aws:cloudfront::1:function/" + name}}
}

// fed names a Lambda function in which nothing is wrong.
func fed(s *doctor.Seen) *doctor.Worker {
	if s.Function == "" {
		s.Function, s.Worker.Is = "inv", doctor.Worker{State: "Active", Update: "Successful", Reserved: new(int32(1)), Sources: []doctor.Feed{{ARN: "arn:q", State: "Enabled"}}}
	}
	return &s.Worker.Is
}

func rewritten(s *doctor.Seen, err error, all ...doctor.Rewritten) {
	viewerRequest(s, "rewrite")
	site(s).Rewritten = map[string]doctor.Answer[[]doctor.Rewritten]{"arn:aws:cloudfront::1:function/rewrite": {Is: all, Err: err}}
}

// Each thing that people get wrong is found, at its level, with what to do, and
// nothing else is found because of it.
func TestWhatIsWrong(t *testing.T) {
	tests := []struct {
		name  string
		wrong func(*doctor.Seen)
		level doctor.Level
		check string
		saw   string
		do    string
	}{
		{"no credentials", func(s *doctor.Seen) { s.Caller.Err = fmt.Errorf("%w (no provider)", doctor.ErrNoCredentials) }, doctor.Error, "credentials", "there are no credentials", "aws configure"},
		{"expired", func(s *doctor.Seen) { s.Caller.Err = errorOf("ExpiredToken") }, doctor.Error, "credentials", "ExpiredToken: said so", "expired"},
		{"wrong keys", func(s *doctor.Seen) { s.Caller.Err = errorOf("InvalidClientTokenId") }, doctor.Error, "credentials", "InvalidClientTokenId", "credentials are wrong"},
		{"a wrong clock", func(s *doctor.Seen) { s.Caller.Err = errorOf("RequestTimeTooSkewed") }, doctor.Error, "credentials", "RequestTimeTooSkewed", "clock"},
		{"no network", func(s *doctor.Seen) { s.Caller.Err = errors.New("dial tcp: refused") }, doctor.Error, "credentials", "refused", "network"},
		{"the root user", func(s *doctor.Seen) { s.Caller.Is.ARN = "arn:aws:iam::1:root" }, doctor.Warning, "credentials", "root user", "role"},
		{"another account", func(s *doctor.Seen) { site(s).Account = "2" }, doctor.Error, "distribution", "belongs to account 2, and the credentials to 1", "account 2"},

		{"no region", func(s *doctor.Seen) { s.Region = "" }, doctor.Warning, "region", "no region is configured", "AWS_REGION=eu-west-1"},
		{"another region", func(s *doctor.Seen) { s.Region = "us-east-1" }, doctor.Warning, "region", "in eu-west-1, and us-east-1 is configured", "AWS_REGION=eu-west-1"},
		{"no bucket of that name", func(s *doctor.Seen) { s.Home.Err = errorOf("NotFound") }, doctor.Error, "region", "there is no bucket www", "typing error"},
		{"a foreign bucket", func(s *doctor.Seen) { s.Home.Err = errorOf("Forbidden") }, doctor.Error, "region", "Forbidden", "s3:ListBucket"},

		{"disabled", func(s *doctor.Seen) { conf(s).Enabled = false }, doctor.Error, "distribution", "disabled", "enable it"},
		{"being deployed", func(s *doctor.Seen) { site(s).Status = "InProgress" }, doctor.Note, "distribution", "InProgress", "wait"},
		{"staging", func(s *doctor.Seen) { conf(s).Staging = true }, doctor.Note, "distribution", "staging", "primary"},
		{"not reachable", func(s *doctor.Seen) { site(s).Front.Err = errors.New("no such host") }, doctor.Error, "reachable", "d1.cloudfront.net does not answer: no such host", "network"},
		{"no origin answers", func(s *doctor.Seen) { site(s).Front.Is.Status = 502 }, doctor.Warning, "reachable", "502", "origin"},
		{"the bucket does not let it read", func(s *doctor.Seen) { site(s).Front.Is.Status = 403 }, doctor.Note, "reachable", "403", "policy"},

		{"cached for seconds", func(s *doctor.Seen) {
			b := &conf(s).DefaultCacheBehavior
			b.CachePolicyID, b.DefaultTTL, b.MaxTTL = "", new(int64(1)), new(int64(2))
		}, doctor.Warning, "ttl", "the default behavior keeps nothing longer than 2s (its own TTLs)", "MaxTTL"},
		{"CachingDisabled", func(s *doctor.Seen) {
			conf(s).DefaultCacheBehavior.CachePolicyID = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
		}, doctor.Warning, "ttl", "caches nothing (cache policy Managed-CachingDisabled)", "CachingOptimized"},
		{"a policy that was not read", func(s *doctor.Seen) { conf(s).DefaultCacheBehavior.CachePolicyID = "x" }, doctor.Warning, "ttl", `"x"`, "cloudfront:GetCachePolicy"},
		{"server errors kept", func(s *doctor.Seen) {
			conf(s).CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 503, ErrorCachingMinTTL: new(int64(300))}}
		}, doctor.Warning, "errors", "503 is kept for 5m0s", "ErrorCachingMinTTL"},
		{"missing pages kept", func(s *doctor.Seen) {
			conf(s).CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 404, ErrorCachingMinTTL: new(int64(3600))}}
		}, doctor.Note, "errors", "404 is kept for 1h0m0s", ""},
		{"missing pages kept, new ones skipped", func(s *doctor.Seen) {
			conf(s).CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 404, ErrorCachingMinTTL: new(int64(3600))}}
			s.Routes.NewObjects = route.Skip
		}, doctor.Warning, "errors", "new objects are not invalidated", "new_objects"},

		{"a function that rewrites", func(s *doctor.Seen) { rewritten(s, nil, doctor.Rewritten{From: "/a", To: "/b.html"}) }, doctor.Warning, "functions", "rewrite makes /b.html of /a", "{url: /a, key: b.html}"},
		{"a function that cannot be read", func(s *doctor.Seen) { rewritten(s, errorOf("AccessDenied")) }, doctor.Warning, "functions", "AccessDenied", "routes.rewrites"},
		{"Lambda@Edge", func(s *doctor.Seen) {
			conf(s).DefaultCacheBehavior.LambdaFunctionAssociations = []distribution.LambdaFunctionAssociation{{EventType: "origin-request", LambdaFunctionARN: "arn:aws:lambda:us-east-1:1:function:edge:3"}}
		}, doctor.Warning, "functions", "Lambda@Edge function", "routes.rewrites"},

		{"paths in progress", func(s *doctor.Seen) { site(s).InProgress.Is = []cdn.Progress{{Patterns: 2400}} }, doctor.Warning, "quota", "2400 of 3000 paths", "who invalidates"},
		{"wildcards in progress", func(s *doctor.Seen) { site(s).InProgress.Is = []cdn.Progress{{Patterns: 12, Wildcards: 12}} }, doctor.Warning, "quota", "12 of 15 wildcards", "who invalidates"},
		{"throttled", func(s *doctor.Seen) {
			site(s).InProgress.Err = &cdn.Error{Class: cdn.Throttled, Err: errors.New("Rate exceeded")}
		}, doctor.Warning, "quota", "Rate exceeded", "who calls"},
		{"not allowed to look", func(s *doctor.Seen) {
			site(s).InProgress.Err = &cdn.Error{Class: cdn.Denied, Err: errorOf("AccessDenied")}
		}, doctor.Warning, "quota", "AccessDenied", "cloudfront:ListInvalidations"},

		{"no canary", func(s *doctor.Seen) { site(s).Trial = nil }, doctor.Note, "canary", "--canary", ""},
		{"a canary that nobody heard of", func(s *doctor.Seen) {
			site(s).Trial.Failed, site(s).Trial.Err = "change invalidated", errors.New("not within 5m0s")
		}, doctor.Error, "canary", "not change invalidated: not within 5m0s, after put 1ms", "notification rules"},
		{"a canary's end that nobody heard of", func(s *doctor.Seen) {
			site(s).Trial.Failed, site(s).Trial.Err = "deletion invalidated", errors.New("not within 5m0s")
		}, doctor.Warning, "canary", "deletion", "notification rules"},
		{"a canary that is left", func(s *doctor.Seen) { site(s).Trial.Left = errorOf("AccessDenied") }, doctor.Warning, "canary", "freshet-canary-x.txt is left", "s3:DeleteObject"},

		{"rules that cannot be read", func(s *doctor.Seen) { s.Rules.Err = errorOf("AccessDenied") }, doctor.Warning, "events", "AccessDenied", "s3:GetBucketNotification"},
		{"deletions forgotten", func(s *doctor.Seen) { rule(s).Events = slices.Delete(rule(s).Events, 1, 2) }, doctor.Error, "events", "nobody is told of deletions", "s3:ObjectRemoved:*"},
		{"expirations forgotten", func(s *doctor.Seen) { rule(s).Events = rule(s).Events[:2] }, doctor.Warning, "events", "nobody is told of lifecycle expirations", "s3:LifecycleExpiration:*"},
		{"expirations forgotten where nothing expires", func(s *doctor.Seen) { rule(s).Events, s.Expiring.Is = rule(s).Events[:2], false }, doctor.Note, "events", "no lifecycle rule expires anything now", "s3:LifecycleExpiration:*"},
		{"multipart uploads forgotten", func(s *doctor.Seen) {
			rule(s).Events = append(rule(s).Events[1:], "s3:ObjectCreated:Put", "s3:ObjectCreated:Post", "s3:ObjectCreated:Copy")
		}, doctor.Error, "events", "nobody is told of s3:ObjectCreated:CompleteMultipartUpload", "s3:ObjectCreated:*"},
		{"uploads of some keys", func(s *doctor.Seen) {
			s.Rules.Is.Rules = append(s.Rules.Is.Rules, doctor.Rule{Events: []string{"s3:ObjectCreated:*"}, Suffix: ".html"}, doctor.Rule{Events: []string{"s3:ObjectCreated:*"}, Prefix: "img/"})
			rule(s).Events = rule(s).Events[1:]
		}, doctor.Warning, "events", `uploads are told of only for keys that end in ".html", or begin with "img/"`, "routes.sources"},

		{"no such Lambda function", func(s *doctor.Seen) { s.Function, s.Worker.Err = "inv", errorOf("ResourceNotFoundException") }, doctor.Error, "lambda", "inv: there is no such function in eu-west-1", "name"},
		{"a Lambda function that may not be read", func(s *doctor.Seen) { s.Function, s.Worker.Err = "inv", errorOf("AccessDeniedException") }, doctor.Warning, "lambda", "AccessDeniedException", "lambda:GetFunction"},
		{"dead letters", func(s *doctor.Seen) {
			fed(s).Sources[0].Queue = &doctor.Backlog{Waiting: 3, Dead: 2, DeadLetters: "arn:aws:sqs:eu-west-1:1:dead"}
		}, doctor.Error, "lambda", "2 changes could not be invalidated and lie in arn:aws:sqs:eu-west-1:1:dead", "start-message-move-task --source-arn arn:aws:sqs:eu-west-1:1:dead"},
		{"a queue without dead letters", func(s *doctor.Seen) { fed(s).Sources[0].Queue = new(doctor.Backlog) }, doctor.Warning, "lambda", "has no dead-letter queue", "give it one"},
		{"a queue that may not be read", func(s *doctor.Seen) {
			fed(s).Sources[0].Queue = &doctor.Backlog{Err: errorOf("AccessDenied")}
		}, doctor.Warning, "lambda", "cannot be read", "sqs:GetQueueAttributes"},
		{"errors in the log", func(s *doctor.Seen) {
			fed(s).Failures = []doctor.Failure{{At: time.Unix(0, 0), Text: "older"}, {At: time.Unix(60, 0), Text: "AccessDenied"}}
		}, doctor.Warning, "lambda", "2 errors in its log within a day, the last at 1970-01-01T00:01:00Z: AccessDenied", "aws logs tail /aws/lambda/inv"},
		{"a log that may not be read", func(s *doctor.Seen) { fed(s).Unread = errorOf("AccessDeniedException") }, doctor.Warning, "lambda", "its log cannot be read", "logs:FilterLogEvents"},
		{"many at a time without a table", func(s *doctor.Seen) { fed(s).Reserved, fed(s).Ours = nil, true }, doctor.Warning, "lambda", "no table shares CloudFront's quota", "--concurrency 1"},
		{"a Lambda function that failed", func(s *doctor.Seen) { fed(s).State, fed(s).Reason = "Failed", "no role" }, doctor.Error, "lambda", "its state is Failed (no role)", "deploy"},
		{"a failed update", func(s *doctor.Seen) { fed(s).Update = "Failed" }, doctor.Warning, "lambda", "last update failed", "deploy"},
		{"no concurrency", func(s *doctor.Seen) { fed(s).Reserved = new(int32(0)) }, doctor.Error, "lambda", "never runs", "raise"},
		{"a disabled mapping", func(s *doctor.Seen) { fed(s).Sources[0].State = "Disabled" }, doctor.Error, "lambda", "of arn:q is Disabled", "enable"},
		{"no dead letters", func(s *doctor.Seen) { fed(s).Sources = nil }, doctor.Warning, "lambda", "no dead-letter target", "queue"},

		{"a key with ~", func(s *doctor.Seen) { s.Listing.Is.Keys = append(s.Listing.Is.Keys, "u/~me/x.html") }, doctor.Warning, "keys", "1 of 3 keys cannot be invalidated exactly: u/~me/x.html (only by /u/*)", "rename"},
		{"a key that ends in *", func(s *doctor.Seen) { s.Listing.Is = doctor.Listing{Keys: []string{"a*"}, More: true} }, doctor.Warning, "keys", "1 of the first 1 key", "wildcard"},
		{"a bucket that cannot be listed", func(s *doctor.Seen) { s.Listing.Err = errorOf("AccessDenied") }, doctor.Warning, "keys", "AccessDenied", "s3:ListBucket"},
		{"browsers keep pages", func(s *doctor.Seen) { s.Pages[0].CacheControl = "public, Max-Age=86400" }, doctor.Warning, "browsers", "1 of 1 page for more than an hour: index.html (public, Max-Age=86400)", "s-maxage"},
		{"pages that cannot be seen", func(s *doctor.Seen) { s.Pages[0].Err = errorOf("Forbidden") }, doctor.Warning, "browsers", "Forbidden", "s3:GetObject"},
		{"no pages", func(s *doctor.Seen) { s.Pages = nil }, doctor.Note, "browsers", "no pages", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := healthy()
			test.wrong(&s)
			var odd []doctor.Finding
			for _, f := range doctor.Judge(s) {
				if f.Level != doctor.OK {
					odd = append(odd, f)
				}
			}
			if !slices.ContainsFunc(odd, func(f doctor.Finding) bool {
				return f.Level == test.level && f.Check == test.check && strings.Contains(f.Saw, test.saw) && strings.Contains(f.Do, test.do) && (f.Do != "" || test.do == "")
			}) {
				t.Errorf("got %+v", odd)
			}
			for _, f := range odd {
				if f.Check != test.check && (f.Check != "browsers" || test.check != "keys") {
					t.Errorf("also found: %+v", f)
				}
			}
		})
	}
}

// What seems wrong and is not.
func TestWhatIsRight(t *testing.T) {
	for name, right := range map[string]func(*doctor.Seen){
		"a Lambda function": func(s *doctor.Seen) { fed(s) },
		"a queue in which nothing is dead": func(s *doctor.Seen) {
			fed(s).Sources[0].Queue = &doctor.Backlog{Waiting: 9, DeadLetters: "arn:dead"}
			fed(s).Unread = errorOf("ResourceNotFoundException") // it has not run yet
		},
		"many at a time with a table": func(s *doctor.Seen) { fed(s).Reserved, fed(s).Ours, fed(s).Table = nil, true, "quota" },
		"one with dead letters":       func(s *doctor.Seen) { fed(s).Sources, s.Worker.Is.DeadLetters = nil, true },
		"EventBridge":                 func(s *doctor.Seen) { s.Rules.Is = doctor.Notifications{EventBridge: true} },
		"single events that make up all": func(s *doctor.Seen) {
			rule(s).Events = append(rule(s).Events[:1], "s3:ObjectRemoved:Delete", "s3:ObjectRemoved:DeleteMarkerCreated", "s3:LifecycleExpiration:*")
		},
		"rules beside each other": func(s *doctor.Seen) {
			s.Rules.Is.Rules = append(s.Rules.Is.Rules, doctor.Rule{Events: []string{"s3:ObjectRemoved:*"}})
			rule(s).Events = append(rule(s).Events[:1], "s3:LifecycleExpiration:*")
		},
		"a filter that is the origin path": func(s *doctor.Seen) { rule(s).Prefix, conf(s).Origins[0].OriginPath = "v2/", "/v2" },
		"a ~ in the origin path": func(s *doctor.Seen) {
			s.Listing.Is.Keys, conf(s).Origins[0].OriginPath = []string{"~v2/index.html"}, "/~v2"
		},
		"an index document": func(s *doctor.Seen) {
			rewritten(s, nil, doctor.Rewritten{From: "/a/", To: "/a/index.html"}, doctor.Rewritten{From: "/b", To: "/b/index.html"})
		},
		"a rewrite with a rule": func(s *doctor.Seen) {
			rewritten(s, nil, doctor.Rewritten{From: "/a", To: "/b"})
			s.Routes.Rewrites = []route.Rewrite{{URL: "/a", Key: "b"}}
		},
		"a function at viewer-response": func(s *doctor.Seen) {
			viewerRequest(s, "f")
			conf(s).DefaultCacheBehavior.FunctionAssociations[0].EventType = "viewer-response"
		},
		"a behavior of another origin": func(s *doctor.Seen) {
			conf(s).CacheBehaviors = []distribution.CacheBehavior{{PathPattern: "/api/*", TargetOriginID: "api", CachePolicyID: "CachingDisabled"}}
		},
		"a page that browsers may not keep": func(s *doctor.Seen) { s.Pages[0].CacheControl = "no-cache, max-age=86400" },
		"pages for an hour":                 func(s *doctor.Seen) { s.Pages[0].CacheControl = "max-age=3600" },
		"another form of the bucket's host": func(s *doctor.Seen) { conf(s).Origins[0].DomainName = "WWW.s3-website-eu-west-1.amazonaws.com" },
	} {
		t.Run(name, func(t *testing.T) {
			s := healthy()
			right(&s)
			for _, f := range doctor.Judge(s) {
				if f.Level != doctor.OK {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

// What nothing is known of is one finding, and the rest is judged.
func TestWhatIsNotThere(t *testing.T) {
	find := func(t *testing.T, s doctor.Seen, level doctor.Level, check, saw string) {
		t.Helper()
		all := doctor.Judge(s)
		if !slices.ContainsFunc(all, func(f doctor.Finding) bool {
			return f.Level == level && f.Check == check && strings.Contains(f.Saw, saw)
		}) {
			t.Errorf("got %+v", all)
		}
		if !slices.ContainsFunc(all, func(f doctor.Finding) bool { return f.Level == doctor.OK && f.Check == "credentials" }) {
			t.Errorf("credentials are not looked at: %+v", all)
		}
	}
	s := healthy()
	s.Sites[0].Err = errorOf("NoSuchDistribution")
	find(t, s, doctor.Error, "distribution", "account 1 has none of this ID")
	s.Sites[0].Err = errorOf("AccessDenied")
	find(t, s, doctor.Error, "distribution", "cannot be read: AccessDenied")
	s.Sites = nil
	find(t, s, doctor.Error, "distribution", "no distribution of this account has the bucket www")
	s.Fed.Err = errorOf("AccessDenied")
	find(t, s, doctor.Error, "distribution", "cannot be listed")
	s = healthy()
	s.Bucket = "other"
	find(t, s, doctor.Error, "origin", "the bucket other is not among its origins, which are www.s3.eu-west-1.amazonaws.com")
	s.Bucket = ""
	find(t, s, doctor.Error, "origin", "none of its origins is a bucket")
	s = healthy()
	s.Sites[0].Distribution.Config.DefaultCacheBehavior.TargetOriginID = "nowhere"
	find(t, s, doctor.Error, "origin", "no behavior leads to")
	s = healthy()
	s.Own, s.Region = true, ""
	find(t, s, doctor.Note, "events", "does not apply")
	s.Home.Err = errorOf("NotFound")
	find(t, s, doctor.Error, "region", "there is no bucket www")
}

func TestFindingInJSON(t *testing.T) {
	text, err := json.Marshal([]doctor.Finding{{Level: doctor.Warning, Check: "keys", Saw: "a", Do: "b"}, {Check: "ttl", Distribution: "E1", Saw: "c"}})
	if want := `[{"level":"warning","check":"keys","saw":"a","do":"b"},{"level":"ok","check":"ttl","distribution":"E1","saw":"c"}]`; err != nil || string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
	if got := fmt.Sprint(doctor.Error, doctor.Level(9)); got != "error level 9" {
		t.Errorf("got %q", got)
	}
	if doctor.Worst(nil) != doctor.OK || doctor.Worst([]doctor.Finding{{Level: doctor.Error}, {Level: doctor.Note}}) != doctor.Error {
		t.Error("the worst is another")
	}
}

package awssetup_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/awssetup"
)

func rule(events, prefix, suffix string) awssetup.Rule {
	return awssetup.Rule{ID: "theirs", To: "arn:aws:sns:eu-west-1:123456789012:theirs", Events: strings.Fields(events), Prefix: prefix, Suffix: suffix}
}

func TestOverlaps(t *testing.T) {
	const all, put, gone = "s3:ObjectCreated:*", "s3:ObjectCreated:Put", "s3:ObjectRemoved:*"
	tests := []struct {
		name string
		a, b awssetup.Rule
		want bool
	}{
		{"no filters", rule(all, "", ""), rule(all, "", ""), true},
		{"other events", rule(all, "", ""), rule(gone, "", ""), false},
		{"one event of many", rule(gone+" "+put, "", ""), rule(all, "", ""), true},
		{"two events of a kind", rule(put, "", ""), rule("s3:ObjectCreated:Copy", "", ""), false},
		{"prefix and none", rule(all, "images/", ""), rule(all, "", ""), true},
		{"prefix of a prefix", rule(all, "images/", ""), rule(all, "images/large/", ""), true},
		{"prefixes apart", rule(all, "images/", ""), rule(all, "films/", ""), false},
		{"suffixes apart", rule(all, "images/", ".jpg"), rule(all, "images/", ".png"), false},
		{"suffix of a suffix", rule(all, "", ".gz"), rule(all, "", ".tar.gz"), true},
		{"prefixes apart, suffixes the same", rule(all, "a/", ".jpg"), rule(all, "b/", ".jpg"), false},
		{"prefix against suffix", rule(all, "a/", ""), rule(all, "", ".jpg"), true},
		{"spelled otherwise", rule(all, "a+b/", ""), rule(all, "a%20b/c", ""), true},
		{"a plus is no space", rule(all, "a%2Bb/", ""), rule(all, "a+b/", ""), false},
		{"a bad escape is itself", rule(all, "50%/", ""), rule(all, "50%/x", ""), true},
	}
	for _, tt := range tests {
		if tt.a.Overlaps(tt.b) != tt.want || tt.b.Overlaps(tt.a) != tt.want {
			t.Errorf("%s: %v, %v, want %v", tt.name, tt.a.Overlaps(tt.b), tt.b.Overlaps(tt.a), tt.want)
		}
	}
}

// TestKeyThatTwoRulesMatch: no key is sent twice by rules that do not overlap.
func TestKeyThatTwoRulesMatch(t *testing.T) {
	part := rapid.StringOfN(rapid.SampledFrom([]rune("ab/")), 0, 3, -1)
	rapid.Check(t, func(t *rapid.T) {
		a := rule("s3:ObjectCreated:*", part.Draw(t, "p"), part.Draw(t, "x"))
		b := rule("s3:ObjectCreated:*", part.Draw(t, "q"), part.Draw(t, "y"))
		key := rapid.StringOfN(rapid.SampledFrom([]rune("ab/")), 0, 7, -1).Draw(t, "key")
		matches := func(r awssetup.Rule) bool {
			return strings.HasPrefix(key, r.Prefix) && strings.HasSuffix(key, r.Suffix)
		}
		if matches(a) && matches(b) && !a.Overlaps(b) {
			t.Fatalf("%q matches %v and %v", key, a, b)
		}
	})
}

func TestRuleOfASite(t *testing.T) {
	r := site(func(s *awssetup.Site) { s.Prefix, s.Suffix = "my site/ü+", "(1)~.html" }).Rule()
	if r.Prefix != "my+site/%C3%BC%2B" || r.Suffix != "(1)~.html" || r.ID != "freshet-freshet" || r.To != "arn:aws:sqs:eu-west-1:123456789012:freshet" {
		t.Errorf("%+v", r)
	}
	for _, e := range []string{"s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"} {
		if !strings.Contains(strings.Join(r.Events, " "), e) {
			t.Errorf("no %s in %v", e, r.Events)
		}
	}
}

func TestRulesInTheWay(t *testing.T) {
	s := site(func(s *awssetup.Site) { s.Prefix = "site/" })
	old := s.Rule()
	old.Prefix, old.Events = "elsewhere/", []string{"s3:ObjectCreated:Put"}
	apart := rule("s3:ObjectCreated:*", "logs/", "")
	stranger := s.Rule()
	stranger.To = "arn:aws:sqs:eu-west-1:123456789012:other"
	inTheWay := rule("s3:ObjectCreated:Put", "", ".jpg")
	if err := s.CheckRules([]awssetup.Rule{old, apart}); err != nil {
		t.Error(err)
	}
	if err := s.CheckRules([]awssetup.Rule{stranger}); err == nil || !strings.Contains(err.Error(), "--name") {
		t.Error(err)
	}
	err := s.CheckRules([]awssetup.Rule{apart, inTheWay})
	if err == nil || !strings.Contains(err.Error(), inTheWay.String()) {
		t.Error(err)
	}
	if want := `"theirs" sends s3:ObjectCreated:Put ending in ".jpg" to arn:aws:sns:eu-west-1:123456789012:theirs`; inTheWay.String() != want {
		t.Error(inTheWay)
	}
}

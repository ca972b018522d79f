package awssetup_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/awssetup"
)

func wanted(t *testing.T, s awssetup.Site, code string) []awssetup.Resource {
	t.Helper()
	want, err := s.Resources(code)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// made is what is seen when want has been done.
func made(s awssetup.Site, want []awssetup.Resource) map[awssetup.Kind]awssetup.Seen {
	seen := make(map[awssetup.Kind]awssetup.Seen)
	for _, w := range want {
		seen[w.Kind] = awssetup.Seen{Properties: maps.Clone(w.Properties), Bucket: s.Bucket}
	}
	return seen
}

func does(steps []awssetup.Step) string {
	var all []string
	for _, s := range steps {
		line := string(s.Do) + " " + string(s.Kind)
		if len(s.Changes) > 0 {
			line += " (" + strings.Join(s.Changes, ", ") + ")"
		}
		all = append(all, line)
	}
	return strings.Join(all, "; ")
}

func TestWhatIsThereIsKept(t *testing.T) {
	s := site(func(s *awssetup.Site) { s.Table = "quota" })
	want := wanted(t, s, "hash")
	steps, err := s.Plan(want, nil)
	if err != nil || len(steps) != len(awssetup.Kinds()) {
		t.Fatalf("%s, %v", does(steps), err)
	}
	for i, k := range awssetup.Kinds() {
		if steps[i].Do != awssetup.Create || steps[i].Kind != k {
			t.Errorf("step %d: %+v", i, steps[i])
		}
	}
	steps, err = s.Plan(want, made(s, want))
	if err != nil || strings.Contains(does(steps), "create") || strings.Contains(does(steps), "change") {
		t.Errorf("%s, %v", does(steps), err)
	}
	if steps, err = s.Plan(wanted(t, s, ""), made(s, want)); err != nil || strings.Contains(does(steps), "change") {
		t.Errorf("without a zip: %s, %v", does(steps), err)
	}
}

func TestWhatDiffersIsNamed(t *testing.T) {
	s := site(nil)
	seen := made(s, wanted(t, s, "hash"))
	other := site(func(s *awssetup.Site) { s.Distributions, s.Prefix = []string{"E9"}, "site/" })
	steps, err := other.Plan(wanted(t, other, "other"), seen)
	if got := does(steps); err != nil || got != "keep dead-letter queue; keep queue; keep log group; change role (policy); change function (FRESHET_DISTRIBUTIONS, code); keep event source mapping; keep dead-letter alarm; keep age alarm; keep fresh-within alarm; change notification rule (rule)" {
		t.Errorf("%s, %v", got, err)
	}
}

// TestJSONIsComparedByWhatItSays, since AWS gives it back in its own spelling.
func TestJSONIsComparedByWhatItSays(t *testing.T) {
	s := site(nil)
	want := wanted(t, s, "hash")
	seen := made(s, want)
	seen[awssetup.Queue].Properties["RedrivePolicy"] = `{"maxReceiveCount":"10", "deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:freshet-dead"}`
	var policy map[string]any
	if err := json.Unmarshal([]byte(seen[awssetup.Queue].Properties["Policy"]), &policy); err != nil {
		t.Fatal(err)
	}
	policy["Statement"].([]any)[0].(map[string]any)["Action"] = "sqs:SendMessage"
	text, _ := json.Marshal(policy)
	seen[awssetup.Queue].Properties["Policy"] = string(text)
	if steps, err := s.Plan(want, seen); err != nil || strings.Contains(does(steps), "change") {
		t.Errorf("%s, %v", does(steps), err)
	}
	seen[awssetup.Queue].Properties["Policy"] = strings.Replace(string(text), "123456789012", "210987654321", 1)
	if steps, err := s.Plan(want, seen); err != nil || !strings.Contains(does(steps), "change queue (Policy)") {
		t.Errorf("%s, %v", does(steps), err)
	}
}

func TestWhatOthersMadeIsNotTouched(t *testing.T) {
	s := site(func(s *awssetup.Site) { s.Table = "quota" })
	want := wanted(t, s, "hash")
	for _, k := range awssetup.Kinds() {
		for _, owner := range []string{"", "elsewhere"} {
			seen := made(s, want)
			seen[k] = awssetup.Seen{Properties: seen[k].Properties, Bucket: owner}
			adopted := k == awssetup.Logs || k == awssetup.QuotaTable
			if steps, err := s.Plan(want, seen); (err == nil) != adopted || err != nil && !strings.Contains(err.Error(), "--name") {
				t.Errorf("%s of %q: %s, %v", k, owner, does(steps), err)
			}
			removal := does(s.Removal(want, seen))
			if strings.Contains(removal, "delete "+string(k)+";") || !strings.Contains(removal, "foreign "+string(k)) {
				t.Errorf("%s of %q: %s", k, owner, removal)
			}
		}
	}
	seen := made(s, want)
	seen[awssetup.QuotaTable].Properties[awssetup.PropertyKey] = "pk S HASH"
	if _, err := s.Plan(want, seen); err == nil || !strings.Contains(err.Error(), "--table") {
		t.Error(err)
	}
}

func TestTheFirstTimeTakesAZip(t *testing.T) {
	s := site(nil)
	if _, err := s.Plan(wanted(t, s, ""), nil); err == nil || !strings.Contains(err.Error(), "--zip") {
		t.Error(err)
	}
}

func TestRemovalBeginsAtTheBucket(t *testing.T) {
	s := site(nil)
	want := wanted(t, s, "hash")
	if got := does(s.Removal(want, made(s, want))); got != "delete notification rule; delete fresh-within alarm; delete age alarm; delete dead-letter alarm; delete event source mapping; delete function; delete role; delete log group; delete queue; delete dead-letter queue" {
		t.Error(got)
	}
	if got := s.Removal(want, nil); len(got) > 0 {
		t.Error(got)
	}
}

func TestCompare(t *testing.T) {
	s := site(nil)
	want := wanted(t, s, "hash")
	seen := made(s, want)
	delete(seen, awssetup.Source)
	seen[awssetup.Role] = awssetup.Seen{}
	seen[awssetup.Function].Properties[awssetup.PropertyMemory] = "128"
	if got := does(s.Compare(want, seen)); got != "keep dead-letter queue; keep queue; keep log group; foreign role; change function (memory); missing event source mapping; keep dead-letter alarm; keep age alarm; keep fresh-within alarm; keep notification rule" {
		t.Error(got)
	}
}

func TestVariablesAreAllOfTheEnvironment(t *testing.T) {
	s := site(func(s *awssetup.Site) { s.Table, s.Config = "quota", "ssm:x" })
	for _, w := range wanted(t, s, "") {
		if w.Kind != awssetup.Function {
			continue
		}
		for name := range w.Properties {
			if strings.HasPrefix(name, "FRESHET_") != slices.Contains(awssetup.Variables(), name) {
				t.Error(name)
			}
		}
		for _, name := range awssetup.Variables() {
			if w.Properties[name] == "" {
				t.Errorf("%s is empty", name)
			}
		}
	}
}

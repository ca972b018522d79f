package awssetup

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Kind is a kind of resource, of which a site has one each.
type Kind string

// The kinds, in the order in which they are made.
const (
	DeadLetterQueue Kind = "dead-letter queue"
	Queue           Kind = "queue"
	QuotaTable      Kind = "table"
	Logs            Kind = "log group"
	Role            Kind = "role"
	Function        Kind = "function"
	Source          Kind = "event source mapping"
	DeadAlarm       Kind = "dead-letter alarm"
	AgeAlarm        Kind = "age alarm"
	LateAlarm       Kind = "fresh-within alarm"
	BucketRule      Kind = "notification rule"
)

// Kinds are all of them, in the order in which they are made.
func Kinds() []Kind {
	return []Kind{DeadLetterQueue, Queue, QuotaTable, Logs, Role, Function, Source, DeadAlarm, AgeAlarm, LateAlarm, BucketRule}
}

// Resource is what is to be. Its properties are compared with those that are
// seen; JSON is compared by what it says. A queue's are SQS's attributes.
type Resource struct {
	Kind       Kind
	Name       string
	Properties map[string]string
}

// Seen is what is there.
type Seen struct {
	Properties map[string]string
	Bucket     string // that freshet made it for; empty: somebody else made it
}

// Properties of resources that are not SQS's. Environment variables stand under
// their own names.
const (
	PropertyTrust       = "trust policy"
	PropertyPolicy      = "policy"
	PropertyRetention   = "retention"
	PropertyKey         = "key"
	PropertyCode        = "code" // the zip's SHA-256 in base64
	PropertyRole        = "role"
	PropertyRuntime     = "runtime"
	PropertyHandler     = "handler"
	PropertyArch        = "architecture"
	PropertyMemory      = "memory"
	PropertyTimeout     = "timeout"
	PropertyConcurrency = "reserved concurrency"
	PropertyBatch       = "batch size"
	PropertyWindow      = "batch window"
	PropertyResponse    = "response types"
	PropertyScaling     = "maximum concurrency"
	PropertyState       = "state"
	PropertyRule        = "rule"
)

// Variables are those of the function's environment that belong to freshet's
// set-up; others are left as they are.
func Variables() []string {
	return []string{"FRESHET_CONFIG", "FRESHET_DISTRIBUTIONS", "FRESHET_QUOTA_TABLE"}
}

// Resources are all that a site needs. Without the hash of a zip the function
// keeps the code that it has.
func (s Site) Resources(codeHash string) ([]Resource, error) {
	queue, err := s.QueuePolicy().Text(QueuePolicy)
	if err != nil {
		return nil, err
	}
	trust, err := s.TrustPolicy().Text(AssumeRole)
	if err != nil {
		return nil, err
	}
	role, err := s.RolePolicy().Text(RoleInline)
	if err != nil {
		return nil, err
	}
	all := []Resource{
		{DeadLetterQueue, s.DeadLetters(), map[string]string{"MessageRetentionPeriod": strconv.Itoa(deadForSeconds), "SqsManagedSseEnabled": "true"}},
		{Queue, s.Name, map[string]string{
			"VisibilityTimeout": strconv.Itoa(visibility), "SqsManagedSseEnabled": "true", "Policy": queue,
			"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, s.ARN("sqs", s.DeadLetters()), receives),
		}},
	}
	if s.Table != "" {
		all = append(all, Resource{QuotaTable, s.Table, map[string]string{PropertyKey: "id S HASH"}})
	}
	all = append(all,
		Resource{Logs, s.LogGroup(), map[string]string{PropertyRetention: strconv.Itoa(retentionDays)}},
		Resource{Role, s.Name, map[string]string{PropertyTrust: trust, PropertyPolicy: role}},
		s.function(codeHash),
		Resource{Source, s.Name, map[string]string{
			PropertyBatch: strconv.Itoa(batchSize), PropertyWindow: strconv.Itoa(batchWindow), PropertyState: "Enabled",
			PropertyResponse: "ReportBatchItemFailures", PropertyScaling: strconv.Itoa(max(leastScaling, s.Concurrency)),
		}},
	)
	all = append(all, s.alarms()...)
	return append(all, Resource{BucketRule, s.RuleID(), map[string]string{PropertyRule: s.Rule().text()}}), nil
}

func (s Site) function(codeHash string) Resource {
	properties := map[string]string{
		PropertyRole: s.RoleARN(), PropertyRuntime: runtime, PropertyHandler: handler, PropertyArch: s.Architecture,
		PropertyMemory: strconv.Itoa(memory), PropertyTimeout: strconv.Itoa(timeout), PropertyConcurrency: strconv.Itoa(s.Concurrency),
	}
	for _, name := range Variables() {
		properties[name] = s.environment()[name]
	}
	if codeHash != "" {
		properties[PropertyCode] = codeHash
	}
	return Resource{Function, s.Name, properties}
}

// Action is what a step does.
type Action string

// The actions. Foreign resources are left alone: somebody else made them.
const (
	Create  Action = "create"
	Change  Action = "change"
	Keep    Action = "keep"
	Delete  Action = "delete"
	Foreign Action = "foreign"
	Missing Action = "missing"
)

// Step is one resource and what is done about it.
type Step struct {
	Do      Action   `json:"do"`
	Kind    Kind     `json:"kind"`
	Name    string   `json:"name"`
	Changes []string `json:"changes,omitempty"` // names of properties that differ

	Want Resource `json:"-"`
}

// adopted reports whether one may be there before freshet comes: Lambda makes log
// groups by itself, and a table may be shared.
func adopted(k Kind) bool { return k == Logs || k == QuotaTable }

// Plan says how to get from what is seen to what is wanted. It refuses to change
// what freshet did not make, or made for another bucket.
func (s Site) Plan(want []Resource, seen map[Kind]Seen) ([]Step, error) {
	var steps []Step
	for _, w := range want {
		is, there := seen[w.Kind]
		switch {
		case !there:
			if w.Kind == Function && w.Properties[PropertyCode] == "" {
				return nil, fmt.Errorf("the function %s is not there yet: give its --zip", w.Name)
			}
			steps = append(steps, Step{Do: Create, Kind: w.Kind, Name: w.Name, Want: w})
			continue
		case is.Bucket == "" && !adopted(w.Kind):
			return nil, fmt.Errorf("the %s %s is there and was not made by freshet aws install: give another --name", w.Kind, w.Name)
		case is.Bucket != s.Bucket && !adopted(w.Kind):
			return nil, fmt.Errorf("the %s %s was made for the bucket %s: give another --name", w.Kind, w.Name, is.Bucket)
		}
		step := Step{Do: Keep, Kind: w.Kind, Name: w.Name, Changes: differences(w.Properties, is.Properties), Want: w}
		if len(step.Changes) > 0 {
			step.Do = Change
			if err := unchangeable(w, is, step.Changes); err != nil {
				return nil, err
			}
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// unchangeable is what a change would need that was not given, or cannot be.
func unchangeable(w Resource, is Seen, changes []string) error {
	switch {
	case w.Kind == QuotaTable:
		return fmt.Errorf("the table %s has another key than id, a string: give another --table", w.Name)
	case w.Kind == Function && slices.Contains(changes, PropertyArch) && w.Properties[PropertyCode] == "":
		return fmt.Errorf("the function %s is for %s: give a --zip for %s, or --architecture %[2]s", w.Name, is.Properties[PropertyArch], w.Properties[PropertyArch])
	}
	return nil
}

// Compare says what is there and what differs, and refuses nothing.
func (s Site) Compare(want []Resource, seen map[Kind]Seen) []Step {
	var steps []Step
	for _, w := range want {
		is, there := seen[w.Kind]
		step := Step{Do: Keep, Kind: w.Kind, Name: w.Name, Want: w}
		switch {
		case !there:
			step.Do = Missing
		case is.Bucket != s.Bucket && !adopted(w.Kind):
			step.Do = Foreign
		default:
			if step.Changes = differences(w.Properties, is.Properties); len(step.Changes) > 0 {
				step.Do = Change
			}
		}
		steps = append(steps, step)
	}
	return steps
}

// Removal takes away what freshet made for this bucket, in the order in which
// nothing is lost on the way: the bucket stops notifying first.
func (s Site) Removal(want []Resource, seen map[Kind]Seen) []Step {
	var steps []Step
	for _, w := range slices.Backward(want) {
		is, there := seen[w.Kind]
		switch {
		case !there:
		case is.Bucket == s.Bucket:
			steps = append(steps, Step{Do: Delete, Kind: w.Kind, Name: w.Name, Want: w})
		default:
			steps = append(steps, Step{Do: Foreign, Kind: w.Kind, Name: w.Name, Want: w})
		}
	}
	return steps
}

func differences(want, is map[string]string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if canonical(want[name]) != canonical(is[name]) {
			names = append(names, name)
		}
	}
	return names
}

// canonical spells JSON in one way: AWS may give a document back with its keys in
// another order, a list of one as its element, and a number as text.
func canonical(text string) string {
	var v any
	if !strings.HasPrefix(strings.TrimSpace(text), "{") || json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	out, err := json.Marshal(simplified(v))
	if err != nil {
		return text
	}
	return string(out)
}

func simplified(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			x[k] = simplified(e)
		}
	case []any:
		if len(x) == 1 {
			return simplified(x[0])
		}
		for i, e := range x {
			x[i] = simplified(e)
		}
		slices.SortFunc(x, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return v
}

// SeenRule is how a rule is seen, if it is the site's own.
func (s Site) SeenRule(there []Rule) (Seen, bool) {
	for _, r := range there {
		if s.Mine(r) {
			return Seen{map[string]string{PropertyRule: r.text()}, s.Bucket}, true
		}
	}
	return Seen{}, false
}

// text is the same for rules that say the same.
func (r Rule) text() string {
	return fmt.Sprintf("%q %q %q %q %s", r.ID, r.To, r.Prefix, r.Suffix, strings.Join(slices.Sorted(slices.Values(r.Events)), " "))
}

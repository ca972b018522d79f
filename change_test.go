package freshet_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// changes draws from so few values that the same object, the same sequencer
// and the same event come up often.
func changes() *rapid.Generator[[]freshet.Change] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) freshet.Change {
		zone := time.FixedZone("", rapid.SampledFrom([]int{0, 3600}).Draw(t, "zone"))
		return freshet.Change{
			Origin:    rapid.SampledFrom([]string{"a", "b"}).Draw(t, "origin"),
			Key:       rapid.SampledFrom([]string{"x", "x/y", ""}).Draw(t, "key"),
			Op:        rapid.SampledFrom([]freshet.Op{freshet.OpPut, freshet.OpDelete}).Draw(t, "op"),
			Sequencer: rapid.SampledFrom([]freshet.Sequencer{"", "0A", "0a", "0A0", "0B", "1"}).Draw(t, "sequencer"),
			Version:   rapid.SampledFrom([]string{"", "v1", "v2"}).Draw(t, "version"),
			ETag:      rapid.SampledFrom([]string{"", "e1", "e2"}).Draw(t, "etag"),
			Size:      rapid.Int64Range(0, 1).Draw(t, "size"),
			Time:      noon.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second).In(zone),
			Cause:     rapid.SampledFrom([]string{"", "put"}).Draw(t, "cause"),
		}
	}), 0, 12)
}

func ids(lists ...[]freshet.Change) []string {
	var all []string
	for _, list := range lists {
		for _, c := range list {
			all = append(all, c.ID())
		}
	}
	return all
}

func TestPromiseLatestLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := changes().Draw(t, "changes")
		before := slices.Clone(in)
		latest, superseded := freshet.Latest(in)
		if !reflect.DeepEqual(in, before) {
			t.Error("the input was changed")
		}
		got, want := ids(latest, superseded), ids(in)
		slices.Sort(got)
		slices.Sort(want)
		if want = slices.Compact(want); !slices.Equal(got, want) {
			t.Errorf("IDs out %q, in %q: each must be in exactly one list, once", got, want)
		}
		objects := make(map[[2]string]bool)
		for _, c := range latest {
			if objects[[2]string{c.Origin, c.Key}] {
				t.Errorf("two newest changes of %s %q", c.Origin, c.Key)
			}
			objects[[2]string{c.Origin, c.Key}] = true
		}
	})
}

func TestLatestIgnoresOrderAndRepetition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := changes().Draw(t, "changes")
		latest, superseded := freshet.Latest(in)
		other := rapid.Permutation(append(slices.Clone(in), in...)).Draw(t, "doubled and shuffled")
		again, supersededAgain := freshet.Latest(other)
		if !reflect.DeepEqual(normal(latest), normal(again)) {
			t.Errorf("latest %+v\nafter shuffling %+v", latest, again)
		}
		if !reflect.DeepEqual(normal(superseded), normal(supersededAgain)) {
			t.Errorf("superseded %+v\nafter shuffling %+v", superseded, supersededAgain)
		}
	})
}

// normal writes equal instants equally, whatever zone they came in.
func normal(list []freshet.Change) []freshet.Change {
	list = slices.Clone(list)
	for i := range list {
		list[i].Time = list[i].Time.UTC()
	}
	return list
}

func TestLatestTwiceIsLatestOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		once, _ := freshet.Latest(changes().Draw(t, "changes"))
		twice, superseded := freshet.Latest(once)
		if len(superseded) != 0 || !reflect.DeepEqual(once, twice) {
			t.Errorf("once %+v\ntwice %+v, superseded %+v", once, twice, superseded)
		}
	})
}

// Nothing that is left behind is newer than what was kept.
func TestLatestKeepsTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := changes().Draw(t, "changes")
		latest, _ := freshet.Latest(in)
		for _, kept := range latest {
			var rivals []freshet.Change
			sequenced := true
			for _, c := range in {
				if c.Origin == kept.Origin && c.Key == kept.Key {
					rivals = append(rivals, c)
					sequenced = sequenced && c.Sequencer != ""
				}
			}
			for _, c := range rivals {
				if sequenced && c.Sequencer.Compare(kept.Sequencer) > 0 || !sequenced && c.Time.After(kept.Time) {
					t.Errorf("kept %+v, but %+v is newer", kept, c)
				}
			}
		}
	})
}

func TestLatestOrdersPutsAndDeletes(t *testing.T) {
	put := freshet.Change{Origin: "site", Key: "a", Op: freshet.OpPut, Sequencer: "0A", Time: noon.Add(time.Hour)}
	remove := freshet.Change{Origin: "site", Key: "a", Op: freshet.OpDelete, Sequencer: "0B", Time: noon}
	tests := []struct {
		name    string
		changes []freshet.Change
		want    freshet.Op
	}{
		{"the sequencer decides, not the clock", []freshet.Change{put, remove}, freshet.OpDelete},
		{"whatever came first", []freshet.Change{remove, put}, freshet.OpDelete},
		{"the clock where a sequencer is missing", []freshet.Change{put, {Origin: "site", Key: "a", Op: freshet.OpDelete, Time: noon}}, freshet.OpPut},
	}
	for _, tt := range tests {
		latest, superseded := freshet.Latest(tt.changes)
		if len(latest) != 1 || len(superseded) != 1 || latest[0].Op != tt.want {
			t.Errorf("%s: latest %+v, superseded %+v", tt.name, latest, superseded)
		}
	}
}

func TestLatestOrder(t *testing.T) {
	c := func(origin, key string, s freshet.Sequencer) freshet.Change {
		return freshet.Change{Origin: origin, Key: key, Sequencer: s}
	}
	latest, superseded := freshet.Latest([]freshet.Change{c("b", "a", "1"), c("a", "z", "1"), c("a", "b", "1"), c("a", "b", "3"), c("a", "b", "2"), c("a", "z", "2")})
	if want := []freshet.Change{c("a", "b", "3"), c("a", "z", "2"), c("b", "a", "1")}; !reflect.DeepEqual(latest, want) {
		t.Errorf("latest %+v, want %+v", latest, want)
	}
	if want := []freshet.Change{c("a", "b", "2"), c("a", "b", "1"), c("a", "z", "1")}; !reflect.DeepEqual(superseded, want) {
		t.Errorf("superseded %+v, want %+v", superseded, want)
	}
}

func TestChangeID(t *testing.T) {
	base := freshet.Change{Origin: "site", Key: "a", Op: freshet.OpPut, Version: "v", ETag: "e", Time: noon}
	sequenced := base
	sequenced.Sequencer = "0A"
	with := func(c freshet.Change, edit func(*freshet.Change)) freshet.Change { edit(&c); return c }
	same := map[string][2]freshet.Change{
		"another zone":                      {base, with(base, func(c *freshet.Change) { c.Time = noon.In(time.FixedZone("", 7200)) })},
		"another cause":                     {base, with(base, func(c *freshet.Change) { c.Cause = "x" })},
		"another spelling of the sequencer": {sequenced, with(sequenced, func(c *freshet.Change) { c.Sequencer = "0a00" })},
		"redelivered with another time":     {sequenced, with(sequenced, func(c *freshet.Change) { c.Time = noon.Add(time.Hour) })},
	}
	for name, pair := range same {
		if pair[0].ID() != pair[1].ID() {
			t.Errorf("%s: the ID differs", name)
		}
	}
	different := map[string][2]freshet.Change{
		"another origin":               {base, with(base, func(c *freshet.Change) { c.Origin = "b" })},
		"another key":                  {base, with(base, func(c *freshet.Change) { c.Key = "b" })},
		"letters moved to the key":     {base, with(base, func(c *freshet.Change) { c.Origin, c.Key = "sit", "ea" })},
		"another version":              {base, with(base, func(c *freshet.Change) { c.Version = "w" })},
		"another ETag":                 {base, with(base, func(c *freshet.Change) { c.ETag = "f" })},
		"another op":                   {base, with(base, func(c *freshet.Change) { c.Op = freshet.OpDelete })},
		"another time":                 {base, with(base, func(c *freshet.Change) { c.Time = noon.Add(time.Nanosecond) })},
		"another sequencer":            {sequenced, with(sequenced, func(c *freshet.Change) { c.Sequencer = "0B" })},
		"a sequencer instead of none":  {base, sequenced},
		"sequencer of zeros and none":  {base, with(base, func(c *freshet.Change) { c.Sequencer = "0" })},
		"version and ETag interchange": {base, with(base, func(c *freshet.Change) { c.Version, c.ETag = "e", "v" })},
	}
	for name, pair := range different {
		if pair[0].ID() == pair[1].ID() {
			t.Errorf("%s: the ID is the same", name)
		}
	}
	// A journal written by one version is read by the next, so the derivation
	// must not change.
	if got, want := base.ID(), "66a2fc571c578283ecc5242629e0882e"; got != want {
		t.Errorf("ID() = %q, was %q in earlier versions", got, want)
	}
	if got, want := sequenced.ID(), "34bad1c7bdd97d6b31f1cd8cba1a1b35"; got != want {
		t.Errorf("ID() = %q with a sequencer, was %q in earlier versions", got, want)
	}
}

// Equal sequencers may be spelled differently; which of them is kept must not
// depend on which came first either.
func TestLatestBreaksEveryTie(t *testing.T) {
	c := func(s freshet.Sequencer) freshet.Change {
		return freshet.Change{Origin: "site", Key: "a", Op: freshet.OpPut, Sequencer: s, Time: noon}
	}
	one, _ := freshet.Latest([]freshet.Change{c("0a"), c("0A"), c("0A0")})
	other, superseded := freshet.Latest([]freshet.Change{c("0A0"), c("0A"), c("0a")})
	if !reflect.DeepEqual(one, other) || len(one) != 1 || len(superseded) != 0 {
		t.Errorf("latest is %+v in one order and %+v in the other, superseded %+v", one, other, superseded)
	}
}

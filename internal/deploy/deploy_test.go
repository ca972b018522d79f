package deploy_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/deploy"
)

func hash(text string) (h deploy.Hash) {
	copy(h[:], text)
	return h
}

func object(key, content, cache string) deploy.Object {
	return deploy.Object{Key: key, Size: int64(len(content)), Hash: hash(content), ETag: "e-" + content, Served: deploy.Served{Type: "text/plain", CacheControl: cache}}
}

func present(o deploy.Object, at int64) deploy.Present {
	return deploy.Present{Key: o.Key, Size: o.Size, ETag: o.ETag, Modified: at, Hash: o.Hash, Form: o.Form, Served: &o.Served}
}

func ops(steps []deploy.Step) string {
	var all []string
	for _, s := range steps {
		all = append(all, string(s.Op)+" "+string(s.Reason)+" "+s.Object.Key)
	}
	return strings.Join(all, "; ")
}

func TestCompare(t *testing.T) {
	big := object("big", strings.Repeat("x", 20<<10), "")
	bigHeaders := big
	bigHeaders.Served.CacheControl = "no-store"
	kms := present(object("same", "1", ""), 5)
	kms.ETag = "not an MD5"
	unknown := present(object("same", "1", ""), 5)
	unknown.Hash, unknown.Served = deploy.Hash{}, nil
	encoded := object("same", "1", "")
	encoded.Form, encoded.ETag = "gzip-9", ""
	for name, c := range map[string]struct {
		want []deploy.Object
		have []deploy.Present
		o    deploy.Options
		ops  string
	}{
		"nothing":                    {nil, nil, deploy.Options{}, ""},
		"new":                        {[]deploy.Object{object("a", "1", "")}, nil, deploy.Options{}, "put new a"},
		"the same":                   {[]deploy.Object{object("a", "1", "")}, []deploy.Present{present(object("a", "1", ""), 5)}, deploy.Options{}, ""},
		"content":                    {[]deploy.Object{object("a", "2", "")}, []deploy.Present{present(object("a", "1", ""), 5)}, deploy.Options{}, "put content a"},
		"headers alone, small":       {[]deploy.Object{object("a", "1", "no-store")}, []deploy.Present{present(object("a", "1", ""), 5)}, deploy.Options{}, "put headers a"},
		"headers alone, large":       {[]deploy.Object{bigHeaders}, []deploy.Present{present(big, 5)}, deploy.Options{}, "copy headers big"},
		"gone":                       {nil, []deploy.Present{present(object("a", "1", ""), 5)}, deploy.Options{}, "delete gone a"},
		"gone, and kept":             {nil, []deploy.Present{present(object("a", "1", ""), 5)}, deploy.Options{Keep: true}, ""},
		"known by what it was made":  {[]deploy.Object{object("same", "1", "")}, []deploy.Present{kms}, deploy.Options{}, ""},
		"same bytes, served unknown": {[]deploy.Object{object("same", "1", "")}, []deploy.Present{unknown}, deploy.Options{}, "put headers same"},
		"encoded from now on":        {[]deploy.Object{encoded}, []deploy.Present{present(object("same", "1", ""), 5)}, deploy.Options{}, "put content same"},
		"not selected": {
			[]deploy.Object{object("a", "1", ""), object("b", "1", "")}, []deploy.Present{present(object("c", "1", ""), 5), present(object("d", "1", ""), 5)},
			deploy.Options{Select: func(key string) bool { return key == "a" || key == "c" }}, "put new a; delete gone c",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ops(deploy.Compare(c.want, c.have, c.o)); got != c.ops {
				t.Errorf("%q, want %q", got, c.ops)
			}
		})
	}
	if keys := deploy.Unknown([]deploy.Object{object("same", "1", "")}, []deploy.Present{unknown}, deploy.Options{}); !slices.Equal(keys, []string{"same"}) {
		t.Errorf("unknown: %q", keys)
	}
}

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		limit          string
		deletes, there int
		ok             bool
	}{
		{"", 10, 10, true}, {"", 11, 40, false}, {"", 25, 100, true}, {"", 26, 100, false},
		{"", 1000, 100_000, true}, {"", 1001, 100_000, false},
		{"50%", 50, 100, true}, {"50%", 51, 100, false}, {"100%", 5000, 5000, true}, {"0%", 1, 100, false},
		{"3", 3, 3, true}, {"3", 4, 100, false}, {"0", 1, 10, false}, {"0", 0, 10, true},
	} {
		l, err := deploy.ParseLimit(c.limit)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Check(c.deletes, c.there); (err == nil) != c.ok {
			t.Errorf("limit %q: %d of %d: %v", c.limit, c.deletes, c.there, err)
		}
	}
	for _, wrong := range []string{"x", "-1", "101%", "5 %", "%", "1.5"} {
		if _, err := deploy.ParseLimit(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

// Assets come before pages, pages before what leads to them, deletes last; a
// group is in one phase, side by side.
func TestPhases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "steps")
		var steps []deploy.Step
		for i := range n {
			s := deploy.Step{Op: rapid.SampledFrom([]deploy.Op{deploy.Put, deploy.Copy, deploy.Delete}).Draw(t, "op")}
			s.Object = deploy.Object{Key: string(rune('a' + i)), Class: deploy.Class(rapid.IntRange(0, 2).Draw(t, "class")), Group: rapid.SampledFrom([]string{"", "", "g", "h"}).Draw(t, "group")}
			steps = append(steps, s)
		}
		before := slices.Clone(steps)
		phases := deploy.Phases(steps)
		if !reflect.DeepEqual(steps, before) {
			t.Fatal("the steps were changed")
		}
		at, count := make(map[string]int), 0
		for i, phase := range phases {
			for j, s := range phase {
				at[s.Object.Key] = i
				count++
				if (s.Op == deploy.Delete) != (phase[0].Op == deploy.Delete) {
					t.Fatal("a delete beside something else")
				}
				if j > 0 && s.Object.Group != phase[j-1].Object.Group && slices.ContainsFunc(phase[j+1:], func(o deploy.Step) bool { return o.Object.Group == phase[j-1].Object.Group }) {
					t.Fatalf("group %q is scattered", phase[j-1].Object.Group)
				}
			}
		}
		if count != n {
			t.Fatalf("%d steps of %d", count, n)
		}
		for _, a := range steps {
			for _, b := range steps {
				ka, kb := at[a.Object.Key], at[b.Object.Key]
				switch {
				case a.Op != deploy.Delete && b.Op == deploy.Delete && ka >= kb:
					t.Fatal("deleted before or with what is sent")
				case a.Op == deploy.Delete || b.Op == deploy.Delete:
				case a.Object.Group == "" && b.Object.Group == "" && a.Object.Class < b.Object.Class && ka >= kb:
					t.Fatalf("%v in phase %d, %v in %d", a.Object, ka, b.Object, kb)
				case a.Object.Group != "" && a.Object.Group == b.Object.Group && ka != kb:
					t.Fatal("a group in two phases")
				}
			}
		}
	})
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		glob, name string
		want       bool
	}{
		{"*", "", true}, {"*.css", "a/b.css", true}, {"a?c", "abc", true}, {"a?c", "ac", false}, {"a*b*c", "aXbYbc", true},
		{"", "", true}, {"", "a", false}, {"assets/*", "assets/", true}, {"*a", "aab", false}, {"**", "x", true},
	} {
		if deploy.Match(c.glob, c.name) != c.want {
			t.Errorf("%q %q: %v", c.glob, c.name, !c.want)
		}
	}
}

func TestManifest(t *testing.T) {
	a, b := object("a", "1", "no-store"), object("b", "2", "")
	a.Served.Metadata = map[string]string{"x": "y"}
	have := []deploy.Present{present(a, 7), present(object("old", "3", ""), 3)}
	steps := []deploy.Step{{Op: deploy.Put, Object: b}, {Op: deploy.Delete, Object: deploy.Object{Key: "old"}}}
	made := deploy.After("d1", have, steps, map[string]deploy.Sent{"b": {ETag: "e-2", Size: 1, At: unix(9)}})
	text, err := made.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := deploy.DecodeManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	listing := []deploy.Present{
		{Key: "a", ETag: "e-1", Size: 1, Modified: 7},
		{Key: "b", ETag: "e-2", Size: 1, Modified: 9},
		{Key: "old", ETag: "e-3", Size: 1, Modified: 3},
	}
	deploy.Know(listing, read, nil)
	if got := ops(deploy.Compare([]deploy.Object{a, b}, listing, deploy.Options{Keep: true})); got != "" {
		t.Errorf("after the deploy: %q", got)
	}
	if listing[2].Served != nil {
		t.Error("a deleted object is still known")
	}
	for _, change := range []func(*deploy.Present){
		func(p *deploy.Present) { p.ETag = "other" },
		func(p *deploy.Present) { p.Modified = 11 },
	} {
		again := []deploy.Present{{Key: "b", ETag: "e-2", Size: 1, Modified: 9}}
		change(&again[0])
		deploy.Know(again, read, nil)
		if again[0].Served != nil {
			t.Errorf("what somebody else has written is taken for ours: %+v", again[0])
		}
	}
	for _, wrong := range [][]byte{nil, []byte("x"), text[:len(text)/2]} {
		if _, err := deploy.DecodeManifest(wrong); err == nil {
			t.Errorf("%q is read", wrong)
		}
	}
	if _, err := deploy.DecodeDeploy(text); err == nil {
		t.Error("a manifest is read as a deploy")
	}
}

// A deploy that died while it was sending: what is there is told apart from what
// is not, and what it changed is not forgotten.
func TestDied(t *testing.T) {
	old, sent, never := object("old", "1", ""), object("sent", "2", ""), object("never", "3", "")
	sentOld := object("sent", "0", "")
	header := object("header", "5", "max-age=5")
	d := &deploy.Deploy{
		ID: "d2", Phase: deploy.Begun, Begun: 100, Steps: []deploy.Step{
			{Op: deploy.Put, Reason: deploy.Headers, Object: header, Before: deploy.Before{ETag: "e-5", Modified: 50, Size: 1}},
			{Op: deploy.Put, Reason: deploy.New, Object: never},
			{Op: deploy.Delete, Object: deploy.Object{Key: "old"}, Before: deploy.Before{ETag: "e-1", Modified: 50, Size: 1}},
			{Op: deploy.Put, Object: sent, Before: deploy.Before{ETag: "e-0", Modified: 50, Size: 1}},
		},
	}
	d.Changes = deploy.Changes("b", d.ID, d.Steps)
	manifest := deploy.After("d1", []deploy.Present{present(old, 50), present(sentOld, 50), present(object("header", "5", ""), 50)}, nil, nil)
	listing := func() []deploy.Present {
		all := []deploy.Present{
			{Key: "header", ETag: "e-5", Size: 1, Modified: 101},
			{Key: "old", ETag: "e-1", Size: 1, Modified: 50},
			{Key: "sent", ETag: "e-2", Size: 1, Modified: 101},
		}
		deploy.Know(all, manifest, d)
		return all
	}
	want := []deploy.Object{header, never, sent}
	steps := deploy.Compare(want, listing(), deploy.Options{})
	if got := ops(steps); got != "put new never; delete gone old" {
		t.Errorf("left to do: %q", got)
	}
	if !d.Resumable(want, steps) {
		t.Error("the same deploy again is not taken up")
	}
	other := []deploy.Object{header, never, object("sent", "4", "")}
	if d.Resumable(other, deploy.Compare(other, listing(), deploy.Options{})) {
		t.Error("another deploy takes it up")
	}
	back := []deploy.Object{object("header", "5", ""), old, sentOld}
	steps = deploy.Compare(back, listing(), deploy.Options{})
	if got := ops(steps); got != "put headers header; put content sent" {
		t.Errorf("back to what it was: %q", got)
	}
	if left := d.Left(listing(), steps, "d3"); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	// What it has changed and nobody wants otherwise has to be invalidated.
	left := d.Left(listing(), nil, "d3")
	var keys []string
	for _, c := range left {
		keys = append(keys, string(c.Op)+" "+c.Key+" "+c.Version)
	}
	if want := []string{"put header d3", "put sent d3"}; !slices.Equal(keys, want) {
		t.Errorf("left %q, want %q", keys, want)
	}
}

// Where a second is too coarse to tell before from after, nothing is believed.
func TestDiedWithinASecond(t *testing.T) {
	o := object("a", "1", "")
	d := &deploy.Deploy{ID: "d2", Phase: deploy.Begun, Begun: 100, Steps: []deploy.Step{
		{Op: deploy.Put, Reason: deploy.Headers, Object: object("a", "1", "no-store"), Before: deploy.Before{ETag: "e-1", Modified: 100, Size: 1}},
	}}
	d.Changes = deploy.Changes("b", d.ID, d.Steps)
	listing := []deploy.Present{{Key: "a", ETag: "e-1", Size: 1, Modified: 100}}
	deploy.Know(listing, deploy.After("d1", []deploy.Present{present(o, 100)}, nil, nil), d)
	if listing[0].Served != nil {
		t.Error("the manifest is believed although the headers may have been replaced since")
	}
	if left := d.Left(listing, nil, "d3"); len(left) != 1 {
		t.Errorf("left: %+v", left)
	}
}

func TestName(t *testing.T) {
	steps := []deploy.Step{{Op: deploy.Put, Object: object("a", "1", "")}}
	name := func(after, first string, steps []deploy.Step, carried []freshet.Change) string {
		id, err := deploy.Name(after, first, steps, carried)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	same := name("d1", "x", steps, nil)
	if again := name("d1", "y", steps, nil); again != same {
		t.Error("the same deploy has another name")
	}
	for _, other := range []string{
		name("d2", "x", steps, nil), name("", "x", steps, nil), name("", "y", steps, nil), name("d1", "x", nil, nil),
		name("d1", "x", steps, []freshet.Change{{Key: "k"}}),
	} {
		if other == same {
			t.Error("another deploy has the same name")
		}
	}
}

func TestEncodings(t *testing.T) {
	h := hash("something")
	text, err := h.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back deploy.Hash
	if err := back.UnmarshalText(text); err != nil || back != h {
		t.Errorf("%v %v", back, err)
	}
	for _, wrong := range []string{"x", strings.Repeat("A", 44), strings.Repeat("!", 43)} {
		if back.UnmarshalText([]byte(wrong)) == nil {
			t.Errorf("%q is taken for a hash", wrong)
		}
	}
	for size, part := range map[int64]int64{0: 0, 64 << 20: 0, 64<<20 + 1: 32 << 20, 10_000 * 32 << 20: 32 << 20, 10_000*32<<20 + 1: 64 << 20, 5 << 40: 1 << 30} {
		if got := deploy.PartSize(size); got != part {
			t.Errorf("%d bytes in parts of %d, want %d", size, got, part)
		}
	}
}

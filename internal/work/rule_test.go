package work_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/work"
)

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		match, key string
		want       bool
	}{
		{"video/*.mp4", "video/a.mp4", true},
		{"video/*.mp4", "video/2026/a.mp4", true},
		{"video/*.mp4", "video/.mp4", true},
		{"video/*.mp4", "video/a.mp4.jpg", false},
		{"video/*.mp4", "videos/a.mp4", false},
		{"*", "a", true}, {"*", "a/", false}, {"*", "", false},
		{"a?c", "abc", true}, {"a?c", "a/c", true}, {"a?c", "ac", false}, {"a?c", "aéc", true},
		{"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXcYb", false}, {"é*", "éa", true},
	} {
		if got := (work.Rule{Match: tt.match}).Matches(tt.key); got != tt.want {
			t.Errorf("%q matches %q: %v", tt.match, tt.key, got)
		}
	}
	r := work.Rule{Match: "*.mp4", Except: []string{"*.small.mp4", "drafts/*"}}
	for key, want := range map[string]bool{"a.mp4": true, "a.small.mp4": false, "drafts/a.mp4": false} {
		if r.Matches(key) != want {
			t.Errorf("%q: %v", key, !want)
		}
	}
}

func TestExpand(t *testing.T) {
	v := work.ValuesOf("video/2026/a b.tar.gz", "/tmp/x/in.gz")
	for template, want := range map[string]string{
		"{in}": "/tmp/x/in.gz", "{key}": "video/2026/a b.tar.gz", "{dir}": "video/2026", "{name}": "a b.tar.gz", "{stem}": "a b.tar", "{ext}": "gz",
		"x{{{stem}}}y": "x{a b.tar}y", "": "", "no": "no",
	} {
		if got, err := v.Expand(template); err != nil || got != want {
			t.Errorf("%q: %q, %v", template, got, err)
		}
	}
	for _, template := range []string{"{out}", "{", "}", "{stem", "a}b", "{}"} {
		if got, err := v.Expand(template); err == nil {
			t.Errorf("%q is %q", template, got)
		}
	}
	if v := work.ValuesOf(".htaccess", ""); v["stem"] != ".htaccess" || v["ext"] != "" || v["dir"] != "." {
		t.Errorf("%v", v)
	}
	if v := work.ValuesOf("a//../b.mp4", ""); v["stem"] != "b" || v["dir"] != "a//.." {
		t.Errorf("%v", v)
	}
	made, err := work.Rule{Outputs: []work.Output{{File: "{stem}.jpg", Key: "{dir}/{stem}.jpg"}}}.Makes("a.mp4")
	if err != nil || made[0].ObjectKey != "a.jpg" || made[0].FileName != "a.jpg" {
		t.Errorf("%+v, %v", made, err)
	}
}

// poster is a rule that is right.
func poster(change func(*work.Rule)) work.Rule {
	r := work.Rule{
		Match: "video/*.mp4", Run: []string{"ffmpeg", "-i", "{in}", "poster.jpg"},
		Outputs: []work.Output{{File: "poster.jpg", Key: "video/{stem}.jpg"}}, Also: []string{"/pages/{stem}.html"},
	}
	if change != nil {
		change(&r)
	}
	return r
}

func TestCheck(t *testing.T) {
	if err := work.Check([]work.Rule{poster(nil)}); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*work.Rule){
		"match: a glob is needed":                     func(r *work.Rule) { r.Match = "" },
		"run: a program is needed":                    func(r *work.Rule) { r.Run = nil },
		`there is no {out} here`:                      func(r *work.Rule) { r.Run = []string{"x", "{out}"} },
		"the program itself has no placeholders":      func(r *work.Rule) { r.Run = []string{"{in}"} },
		"environment: ":                               func(r *work.Rule) { r.Environment = map[string]string{"A=B": "c"} },
		`path: "bin" is no folder`:                    func(r *work.Rule) { r.Path = "/bin:bin" },
		"must not be negative":                        func(r *work.Rule) { r.Timeout = -1 },
		"outputs: there is none":                      func(r *work.Rule) { r.Outputs, r.Also = nil, nil },
		"outputs[0].file: is missing":                 func(r *work.Rule) { r.Outputs[0].File = "" },
		`"../poster.jpg" is no file in the folder`:    func(r *work.Rule) { r.Outputs[0].File = "../poster.jpg" },
		`"/etc/passwd" is no file in the folder`:      func(r *work.Rule) { r.Outputs[0].File = "/etc/passwd" },
		"outputs[0].key: is missing":                  func(r *work.Rule) { r.Outputs[0].Key, r.Also = "", nil },
		`"video/" is no object key`:                   func(r *work.Rule) { r.Outputs[0].Key, r.Also = "video/", nil },
		"there is no {in} here":                       func(r *work.Rule) { r.Outputs[0].Key = "{in}" },
		"two outputs have the key":                    func(r *work.Rule) { r.Outputs = append(r.Outputs, r.Outputs[0]) },
		"are one line each":                           func(r *work.Rule) { r.Outputs[0].Type = "a\r\nb" },
		`also: "pages" must begin with /`:             func(r *work.Rule) { r.Also = []string{"pages"} },
		"there is no {dir} here":                      func(r *work.Rule) { r.Also = []string{"/{dir}/x"} },
		"no output's key has all of the placeholders": func(r *work.Rule) { r.Also = []string{"/{ext}"} },
		"and none of {dir} and {key}":                 func(r *work.Rule) { r.Outputs[0].Key = "{dir}/{stem}.jpg" },
		"a { is not closed":                           func(r *work.Rule) { r.Outputs[0].Key = "{stem" },
	} {
		if err := work.Check([]work.Rule{poster(change)}); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), poster(change).ID()+": ") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := work.Check([]work.Rule{poster(nil), poster(nil)}); err == nil || !strings.Contains(err.Error(), "two rules have that name") {
		t.Error(err)
	}
}

// rule makes keys of what matches.
func rule(name, match string, keys ...string) work.Rule {
	r := work.Rule{Name: name, Match: match, Run: []string{"x"}}
	for _, k := range keys {
		r.Outputs = append(r.Outputs, work.Output{File: "out", Key: k})
	}
	return r
}

func except(r work.Rule, globs ...string) work.Rule {
	r.Except = globs
	return r
}

func TestLoops(t *testing.T) {
	for name, tt := range map[string]struct {
		rules []work.Rule
		want  string
	}{
		"none":             {[]work.Rule{rule("a", "video/*.mp4", "video/{stem}.jpg"), rule("b", "video/*.jpg", "thumbs/{stem}.png")}, ""},
		"itself":           {[]work.Rule{rule("a", "video/*", "video/{stem}.jpg")}, "a makes video/{stem}.jpg, which matches video/*"},
		"its own name":     {[]work.Rule{rule("a", "*.mp4", "{key}")}, "a makes {key}"},
		"smaller":          {[]work.Rule{rule("a", "video/*.mp4", "video/{stem}.small.mp4")}, "for ever"},
		"smaller, but not": {[]work.Rule{except(rule("a", "video/*.mp4", "video/{stem}.small.mp4"), "*.small.mp4")}, ""},
		"half excepted":    {[]work.Rule{except(rule("a", "video/*.mp4", "video/{stem}.small.mp4"), "*x.small.mp4")}, "for ever"},
		"by way of another": {[]work.Rule{rule("a", "*.mp4", "{stem}.wav"), rule("b", "*.wav", "{stem}.mp4")},
			"a makes {stem}.wav, b makes {stem}.mp4, which matches *.mp4"},
		"by way of two":            {[]work.Rule{rule("a", "1/*", "2/{name}"), rule("b", "2/*", "3/{name}"), rule("c", "3/*", "1/{name}")}, "for ever"},
		"a stem has no slash":      {[]work.Rule{rule("a", "x/*/y", "x/{stem}y")}, ""},
		"a folder may have":        {[]work.Rule{rule("a", "x/*/y", "x/{dir}/y")}, "for ever"},
		"in no folder":             {[]work.Rule{rule("a", "a", "{dir}/{name}")}, "for ever"},
		"one of several":           {[]work.Rule{rule("a", "*.mp4", "{stem}.jpg", "{stem}.mp4")}, "a makes {stem}.mp4"},
		"in a chain, not a circle": {[]work.Rule{rule("a", "a/*", "b/{name}", "c/{name}"), rule("b", "b/*", "c/{name}"), rule("c", "c/*", "d/{name}")}, ""},
	} {
		err := work.Check(tt.rules)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// What Check lets pass ends: whatever key comes in, what is made of what is made
// comes to an end.
func TestWhatIsNoLoopEnds(t *testing.T) {
	parts := []string{"a", "b", "/", ".", "*", "?"}
	holes := []string{"a", "b", "/", ".", "{stem}", "{ext}", "{name}", "{dir}", "{key}"}
	text := func(t *rapid.T, of []string) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(of), 1, 5).Draw(t, "parts"), "")
	}
	passed := 0
	rapid.Check(t, func(t *rapid.T) {
		var rules []work.Rule
		for i := range rapid.IntRange(1, 3).Draw(t, "rules") {
			r := rule(string(rune('p'+i)), text(t, parts), text(t, holes))
			if rapid.Bool().Draw(t, "except") {
				r.Except = []string{text(t, parts)}
			}
			rules = append(rules, r)
		}
		if work.Check(rules) != nil {
			return
		}
		passed++
		keys := []string{text(t, parts[:4])}
		for range len(rules) + 1 {
			var made []string
			for _, key := range keys {
				for _, r := range work.Matching(rules, key) {
					all, err := r.Makes(key)
					if err != nil {
						t.Fatal(err)
					}
					made = append(made, all[0].ObjectKey)
				}
			}
			keys = made
		}
		if len(keys) > 0 {
			t.Fatalf("%+v still make %q", rules, keys)
		}
	})
	if passed == 0 {
		t.Error("all were refused")
	}
}

func TestAlso(t *testing.T) {
	r := poster(func(r *work.Rule) {
		r.Outputs = append(r.Outputs, work.Output{File: "a", Key: "audio/{stem}.m4a"}, work.Output{File: "b", Key: "latest.jpg"})
		r.Also = append(r.Also, "/videos/")
	})
	if err := work.Check([]work.Rule{r}); err != nil {
		t.Fatal(err)
	}
	all := work.Also([]work.Rule{r})
	if len(all) != 3 || all[1].Key != "audio/{stem}.m4a" || !slices.Equal(all[1].URLs, []string{"/pages/{stem}.html", "/videos/"}) || !slices.Equal(all[2].URLs, []string{"/videos/"}) {
		t.Errorf("%+v", all)
	}
}

func TestDescribe(t *testing.T) {
	rules := []work.Rule{poster(nil), rule("thumb", "video/*.jpg", "thumbs/{stem}.png")}
	for key, want := range map[string][]string{
		"video/a.mp4":  {"after a change work video/*.mp4 runs ffmpeg, which makes video/a.jpg; /pages/a.html are invalidated with them"},
		"video/a.jpg":  {"after a change work thumb runs x, which makes thumbs/a.png", "work video/*.mp4 makes it, as video/{stem}.jpg, of what matches video/*.mp4"},
		"thumbs/a.png": {"work thumb makes it, as thumbs/{stem}.png, of what matches video/*.jpg"},
		"else":         nil,
	} {
		if got := work.Describe(rules, key); !slices.Equal(got, want) {
			t.Errorf("%s: %q", key, got)
		}
	}
}

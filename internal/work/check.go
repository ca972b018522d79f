package work

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/freshet/freshet"
)

// Check returns everything that is wrong with rules, as far as that can be told
// without running them.
func Check(rules []Rule) error {
	var problems []error
	names := make(map[string]bool)
	for _, r := range rules {
		if names[r.ID()] {
			problems = append(problems, fmt.Errorf("%s: two rules have that name", r.ID()))
		}
		names[r.ID()] = true
		for _, err := range r.check() {
			problems = append(problems, fmt.Errorf("%s: %w", r.ID(), err))
		}
	}
	if len(problems) == 0 {
		problems = loops(rules)
	}
	return errors.Join(problems...)
}

// longestKey is the length of the longest object key, in bytes.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const longestKey = 1024

func (r Rule) check() (problems []error) {
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	switch {
	case r.Match == "":
		complain("match: a glob is needed")
	case len(r.Match) > longestKey:
		complain("match: it is longer than any key")
	}
	if len(r.Run) == 0 || r.Run[0] == "" {
		complain("run: a program is needed")
	}
	for i, arg := range r.Run {
		if err := holesAmong(arg, holeIn, holeKey, holeDir, holeName, holeStem, holeExt); err != nil {
			complain("run: %w", err)
		} else if i == 0 && strings.ContainsAny(arg, "{}") {
			complain("run: the program itself has no placeholders")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Environment)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(r.Environment[name], "\x00") {
			complain("environment: %q is no name of a variable, or has no value that one may have", name)
		}
	}
	for _, folder := range strings.Split(r.Path, ":") {
		if r.Path != "" && !strings.HasPrefix(folder, "/") {
			complain("path: %q is no folder such as /usr/bin", folder)
		}
	}
	if r.Timeout < 0 || r.MaxOutput < 0 || r.Retries < 0 {
		complain("timeout, max_output, retries: must not be negative")
	}
	return append(problems, r.checkOutputs()...)
}

func (r Rule) checkOutputs() (problems []error) {
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(r.Outputs) == 0 {
		complain("outputs: there is none, so that nothing would come of it")
	}
	seen := make(map[string]bool)
	for i, o := range r.Outputs {
		for name, template := range map[string]string{"file": o.File, "key": o.Key} {
			if template == "" {
				complain("outputs[%d].%s: is missing", i, name)
			} else if err := holesAmong(template, holeKey, holeDir, holeName, holeStem, holeExt); err != nil {
				complain("outputs[%d].%s: %w", i, name, err)
			}
		}
		if file := path.Clean("/" + o.File); o.File != "" && (file != "/"+o.File || strings.Contains(o.File, "\x00")) {
			complain("outputs[%d].file: %q is no file in the folder in which the program runs", i, o.File)
		}
		if strings.HasSuffix(o.Key, "/") || len(o.Key) > longestKey {
			complain("outputs[%d].key: %q is no object key", i, o.Key)
		}
		if seen[o.Key] {
			complain("outputs[%d].key: two outputs have the key %q", i, o.Key)
		}
		seen[o.Key] = true
		if strings.ContainsAny(o.Type+o.CacheControl, "\r\n") {
			complain("outputs[%d]: type and cache_control are one line each", i)
		}
	}
	return append(problems, r.checkAlso()...)
}

func (r Rule) checkAlso() (problems []error) {
	for _, url := range r.Also {
		switch err := holesAmong(url, holeName, holeStem, holeExt); {
		case !strings.HasPrefix(url, "/"):
			problems = append(problems, fmt.Errorf("also: %q must begin with /", url))
		case err != nil:
			problems = append(problems, fmt.Errorf("also: %w; routes.derived can say more", err))
		case !slices.ContainsFunc(r.Outputs, func(o Output) bool { return derives(o.Key, url) }):
			problems = append(problems, fmt.Errorf("also: no output's key has all of the placeholders of %q, and none of {dir} and {key}, so that nobody could say when it changes; routes.derived can", url))
		}
	}
	return problems
}

// holesAmong refuses a template with other placeholders.
func holesAmong(template string, known ...string) error {
	return eachPart(template, func(string) {}, func(hole string) error {
		if !slices.Contains(known, hole) {
			return fmt.Errorf("%q: there is no {%s} here, but {%s}", template, hole, strings.Join(known, "}, {"))
		}
		return nil
	})
}

func holesOf(template string) (holes []string) {
	_ = eachPart(template, func(string) {}, func(hole string) error {
		holes = append(holes, hole)
		return nil
	})
	return holes
}

// derives reports whether the key of an output says all that is in a URL, in
// words that routing knows: it has a value between two slashes for each.
func derives(key, url string) bool {
	of := holesOf(key)
	if slices.Contains(of, holeDir) || slices.Contains(of, holeKey) {
		return false
	}
	return !slices.ContainsFunc(holesOf(url), func(hole string) bool { return !slices.Contains(of, hole) })
}

// Shown are URLs that are made from an object: both are templates as routing
// knows them.
type Shown struct {
	Key  string
	URLs []string
}

// Also returns which URLs are made from which outputs.
func Also(rules []Rule) (all []Shown) {
	for _, r := range rules {
		for _, o := range r.Outputs {
			s := Shown{Key: o.Key}
			for _, url := range r.Also {
				if derives(o.Key, url) {
					s.URLs = append(s.URLs, url)
				}
			}
			if len(s.URLs) > 0 {
				all = append(all, s)
			}
		}
	}
	return all
}

// loops are rules whose outputs come back to them. That an output might match is
// enough, unless one of Except says for certain that it does not.
func loops(rules []Rule) (problems []error) {
	type step struct {
		to  int
		via string // key of the output
	}
	next := make([][]step, len(rules))
	for i, r := range rules {
		for _, o := range r.Outputs {
			for j, s := range rules {
				if slices.ContainsFunc(keysOf(o.Key), s.mayMatch) {
					next[i] = append(next[i], step{j, o.Key})
				}
			}
		}
	}
	state := make([]int, len(rules)) // 1: on the way here, 2: done
	var way []string
	var visit func(i int)
	visit = func(i int) {
		state[i] = 1
		for _, s := range next[i] {
			way = append(way, fmt.Sprintf("%s makes %s", rules[i].ID(), s.via))
			switch state[s.to] {
			case 0:
				visit(s.to)
			case 1:
				problems = append(problems, fmt.Errorf("%s: it would go on for ever: %s, which matches %s; say what is not meant with except", rules[s.to].ID(), strings.Join(way, ", "), rules[s.to].Match))
			}
			way = way[:len(way)-1]
		}
		state[i] = 2
	}
	for i := range rules {
		if state[i] == 0 {
			visit(i)
		}
	}
	return problems
}

// mayMatch reports whether the rule may be about a key that a template describes.
func (r Rule) mayMatch(made []token) bool {
	return meet(made, globTokens(r.Match)) && !slices.ContainsFunc(r.Except, func(glob string) bool { return covers(glob, made) })
}

// TaskID is the ID of what a rule does after a change, in the journal.
func TaskID(c freshet.Change, rule string) string {
	c.Key, c.Origin = c.Key+"\x00"+rule, c.Origin+"\x00work"
	return c.ID()
}

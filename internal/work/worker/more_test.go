package worker_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/work"
	"github.com/freshet/freshet/internal/work/worker"
)

// A dead letter is done again when somebody asks for it.
func TestADeadLetterIsDoneAgain(t *testing.T) {
	s := open(t, script(t, ""))
	counted(s, `test -e $D/ready && cp "$1" out.txt`)
	s.put(s.set("in/a.txt", "hello", nil))
	s.wantDead("exit status 1")
	s.must(os.WriteFile(filepath.Join(s.dir, "ready"), nil, 0o600))
	letters, err := s.journal.Dead(t.Context())
	s.must(err)
	s.must(worker.Again(t.Context(), s.tasks, letters[0]))
	s.wantMade("made out/a.txt")
}

func TestAFailureThatPasses(t *testing.T) {
	s := open(t, script(t, "", func(r *work.Rule) { r.Retries = 3 }))
	counted(s, `test $(wc -l < $D/tries) -ge 3 && cp "$1" out.txt`)
	s.put(s.set("in/a.txt", "hello", nil))
	s.wantMade("made out/a.txt")
	if s.tries() != 3 {
		t.Errorf("%d tries", s.tries())
	}
}

// What was made by a rule is not its own to be worked on, however it came there.
func TestLoopsAtRunTime(t *testing.T) {
	s := open(t, script(t, "", func(r *work.Rule) { r.Retries = 5 }))
	counted(s, `cp "$1" out.txt`)
	s.put(s.set("in/a.txt", "hello", map[string]string{"freshet-made-by": "other,up,third"}))
	s.wantDead("made by rule up itself, by way of other, up, third")
	if s.tries() != 0 {
		t.Errorf("%d tries", s.tries())
	}
	long := open(t, script(t, `cp "$1" out.txt`))
	long.put(long.set("in/a.txt", "hello", map[string]string{"freshet-made-by": "1,2,3,4,5,6,7,8"}))
	long.wantDead("8 rules have followed each other")
	chain := open(t, script(t, `cp "$1" out.txt`))
	chain.put(chain.set("in/a.txt", "hello", map[string]string{"freshet-made-by": "other"}))
	chain.wantMade("made out/a.txt")
	if o, _ := chain.Head(t.Context(), "out/a.txt"); o.Metadata["freshet-made-by"] != "other,up" {
		t.Errorf("%+v", o)
	}
}

func TestDeletes(t *testing.T) {
	s := open(t, script(t, `cp "$1" out.txt`))
	s.put(s.set("in/a.txt", "hello", nil), s.set("in/b.txt", "hello", nil))
	s.until("both are made", func() bool { return s.keys() == "in/a.txt in/b.txt out/a.txt out/b.txt" })
	s.ended() // or the record of the second may come later
	s.put(s.unset("in/a.txt"))
	s.wantMade("removed out/a.txt")
	s.put(s.unset("in/a.txt"))
	s.wantMade("the object is gone, and nothing was made of it")
	s.set("out/b.txt", "by hand", nil)
	s.put(s.unset("in/b.txt"))
	s.wantMade("the object is gone, and nothing was made of it")
	if s.keys() != "out/b.txt" {
		t.Errorf("there are %s", s.keys())
	}
	c := s.unset("in/c.txt")
	s.set("in/c.txt", "there again", nil)
	s.put(c)
	s.wantMade("the object is there again")
	s.rules[0].Keep = true
	s.stop()
	s.start()
	s.put(s.set("in/d.txt", "hello", nil))
	s.wantMade("made out/d.txt")
	s.put(s.unset("in/d.txt"))
	s.wantMade("the object is gone, and what was made of it is kept")
	if s.body("out/d.txt") != "hello" {
		t.Error("it is not kept")
	}
}

// What people have put is not overwritten.
func TestWhatIsNotOursStays(t *testing.T) {
	s := open(t, script(t, `cp "$1" out.txt; echo copied`, func(r *work.Rule) { r.Retries = 5 }))
	s.set("out/a.txt", "by hand", nil)
	s.put(s.set("in/a.txt", "hello", nil))
	if r := s.wantDead("out/a.txt is there and was not made from in/a.txt by this rule"); strings.Contains(r.Reason, "copied") {
		t.Errorf("what the program said is no part of it: %s", r.Reason)
	}
	if s.body("out/a.txt") != "by hand" {
		t.Error("it is overwritten")
	}
}

func TestAnOptionalOutput(t *testing.T) {
	s := open(t, script(t, `cp "$1" out.txt; grep -q sound "$1" && cp "$1" sound; true`, func(r *work.Rule) {
		r.Outputs = append(r.Outputs, work.Output{File: "sound", Key: "sound/{stem}", Optional: true})
	}))
	s.put(s.set("in/a.txt", "silent", nil))
	s.wantMade("made out/a.txt")
	s.put(s.set("in/a.txt", "with sound", nil))
	s.wantMade("made out/a.txt, sound/a")
	s.put(s.set("in/a.txt", "silent", nil))
	s.wantMade("made out/a.txt; removed sound/a")
	if s.keys() != "in/a.txt out/a.txt" {
		t.Errorf("there are %s", s.keys())
	}
}

// While a program runs on an object, all newer changes of it come to one more
// run, and what the first one made of what is there no more is not put.
func TestNewerChangesComeToOneRun(t *testing.T) {
	s := open(t, script(t, ""))
	counted(s, `cp "$1" out.txt; test -e $D/go || { touch $D/begun; while ! test -e $D/go; do sleep 0.01; done; }`)
	s.put(s.set("in/a.txt", "0", nil))
	s.until("it has begun", func() bool { _, err := os.Stat(filepath.Join(s.dir, "begun")); return err == nil })
	if running := s.worker.Running(); len(running) != 1 || running[0].Rule != "up" || running[0].Key != "in/a.txt" {
		t.Errorf("%+v", running)
	}
	for i := range 20 {
		s.put(s.set("in/a.txt", strconv.Itoa(i+1), nil))
	}
	s.until("the older ones are forgotten", func() bool { n, err := s.tasks.Len(t.Context()); return err == nil && n == 2 })
	s.must(os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600))
	s.wantMade("made out/a.txt")
	if s.tries() != 2 || s.body("out/a.txt") != "20" || s.putKeys() != "out/a.txt" {
		t.Errorf("%d tries, made %q", s.tries(), s.body("out/a.txt"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records[1]; r.State != journal.Made || r.Reason != "the object has changed again since" {
		t.Errorf("%+v", r)
	}
}

func TestNoMoreAtATimeThanMay(t *testing.T) {
	s := open(t, script(t, ""))
	counted(s, `cp "$1" out.txt; touch $D/run.$$; ls $D | grep -c '^run\.' >> $D/many; sleep 0.05; rm $D/run.$$`)
	for i := range 8 {
		s.put(s.set(fmt.Sprintf("in/%d.txt", i), "x", nil))
	}
	s.ended()
	text, err := os.ReadFile(filepath.Join(s.dir, "many"))
	s.must(err)
	if lines := strings.Fields(string(text)); len(lines) != 8 || strings.ContainsAny(string(text), "3456789") {
		t.Errorf("ran together: %v", lines)
	}
}

// What had begun when it was stopped is done by the next run, and so is what
// waited.
func TestARestartGoesOn(t *testing.T) {
	s := open(t, script(t, ""))
	counted(s, `cp "$1" out.txt; test -e $D/go || { touch $D/begun; sleep 1000; }`)
	s.put(s.set("in/a.txt", "hello", nil), s.set("in/b.txt", "hello", nil), s.set("in/c.txt", "hello", nil))
	s.until("it has begun", func() bool { _, err := os.Stat(filepath.Join(s.dir, "begun")); return err == nil })
	s.stop()
	if s.keys() != "in/a.txt in/b.txt in/c.txt" {
		t.Errorf("there are %s", s.keys())
	}
	s.must(os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600))
	s.start()
	s.until("all are made", func() bool { return strings.Contains(s.keys(), "out/a.txt out/b.txt out/c.txt") })
	s.ended()
}

func TestABucketThatFails(t *testing.T) {
	s := open(t, script(t, `cp "$1" out.txt`))
	s.failing = errors.New("503 Slow Down")
	s.put(s.set("in/a.txt", "hello", nil))
	s.wantDead("503 Slow Down")
}

func TestAnObjectThatIsTooLarge(t *testing.T) {
	s := open(t, script(t, `cp "$1" out.txt`, func(r *work.Rule) { r.Retries = 5 }))
	s.stop()
	s.input = 4
	s.start()
	s.put(s.set("in/a.txt", "hello", nil))
	s.wantDead("has 5 bytes, more than the 4 that are fetched")
}

func TestAnObjectThatIsGone(t *testing.T) {
	s := open(t, script(t, `cp "$1" out.txt`))
	c := s.set("in/a.txt", "hello", nil)
	s.unset("in/a.txt")
	s.put(c)
	s.wantMade("the object is gone")
}

// A rule that is there no more has nothing done.
func TestARuleThatIsGone(t *testing.T) {
	s := open(t, script(t, `cp "$1" out.txt`))
	s.must(s.tasks.Put(t.Context(), worker.Task{Change: s.set("in/a.txt", "x", nil), Rule: "gone"}))
	s.must(s.tasks.Put(t.Context(), worker.Task{Change: freshet.Change{Key: "elsewhere", Op: freshet.OpPut}, Rule: "up"}))
	s.until("the queue is empty", func() bool { n, err := s.tasks.Len(t.Context()); return err == nil && n == 0 })
	if s.keys() != "in/a.txt" {
		t.Errorf("there are %s", s.keys())
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"runs": 0o700, "plain": 0o600} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for program, want := range map[string]string{
		"runs": "", "plain": dir + "/plain (not executable)", "none": "found nowhere in path: /nowhere/none (not there), " + dir + "/none (not there)",
		dir + "/runs": "", dir + "/none": dir + "/none: not there", dir: dir + ": no file", "./runs": "must be a name",
	} {
		file, err := worker.Find(work.Rule{Run: []string{program}, Path: "/nowhere:" + dir})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && file != dir+"/runs" {
			t.Errorf("%s: %s, %v", program, file, err)
		}
	}
}

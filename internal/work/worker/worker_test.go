package worker_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/work"
	"github.com/freshet/freshet/internal/work/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bucket keeps objects in memory.
type bucket struct {
	mu      sync.Mutex
	objects map[string]worker.Object
	bodies  map[string]string
	puts    []string
	failing error // of Put; nil for none
}

func (b *bucket) set(key, body string, metadata map[string]string) freshet.Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := md5.Sum([]byte(body))
	b.objects[key] = worker.Object{ETag: hex.EncodeToString(sum[:]), Size: int64(len(body)), Metadata: metadata}
	b.bodies[key] = body
	return freshet.Change{Origin: "site", Key: key, Op: freshet.OpPut, Sequencer: freshet.Sequencer(fmt.Sprintf("%016X", time.Now().UnixNano())), Time: time.Now()}
}

func (b *bucket) unset(key string) freshet.Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
	delete(b.bodies, key)
	return freshet.Change{Origin: "site", Key: key, Op: freshet.OpDelete, Sequencer: freshet.Sequencer(fmt.Sprintf("%016X", time.Now().UnixNano())), Time: time.Now()}
}

func (b *bucket) body(key string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bodies[key]
}

func (b *bucket) keys() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(b.objects)), " ")
}

func (b *bucket) putKeys() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := strings.Join(b.puts, " ")
	b.puts = nil
	return keys
}

func (b *bucket) Head(_ context.Context, key string) (worker.Object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	if !ok {
		return o, worker.ErrGone
	}
	return o, nil
}

func (b *bucket) Get(ctx context.Context, key string) (worker.Object, io.ReadCloser, error) {
	o, err := b.Head(ctx, key)
	return o, io.NopCloser(strings.NewReader(b.body(key))), err
}

func (b *bucket) Put(_ context.Context, u worker.Upload) error {
	body, err := io.ReadAll(u.Body)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failing != nil {
		return b.failing
	}
	if sum := md5.Sum(body); sum != u.MD5 || int64(len(body)) != u.Size {
		return fmt.Errorf("the body of %s is not what it is announced with", u.Key)
	}
	b.objects[u.Key], b.bodies[u.Key] = u.Object, string(body)
	b.puts = append(b.puts, u.Key)
	return nil
}

func (b *bucket) Delete(_ context.Context, key, etag string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.objects[key].ETag != etag {
		return fmt.Errorf("%s is another", key)
	}
	delete(b.objects, key)
	delete(b.bodies, key)
	return nil
}

// shop is a worker with everything it needs.
type shop struct {
	*bucket
	t       *testing.T
	dir     string
	rules   []work.Rule
	atOnce  int
	input   int64
	tasks   *worker.Tasks
	journal *journal.Journal
	worker  *worker.Worker
	stop    func()

	mu       sync.Mutex
	records  []journal.Record
	together []string
}

// open starts a worker. Rules whose limits are not given have small ones.
func open(t *testing.T, rules ...work.Rule) *shop {
	t.Helper()
	s := &shop{
		t: t, bucket: &bucket{objects: make(map[string]worker.Object), bodies: make(map[string]string)},
		dir: t.TempDir(), atOnce: 2, input: 1 << 20,
	}
	for _, r := range rules {
		if r.Timeout == 0 {
			r.Timeout = time.Minute
		}
		if r.MaxOutput == 0 {
			r.MaxOutput = 1 << 20
		}
		s.rules = append(s.rules, r)
	}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *shop) start() {
	s.t.Helper()
	e, err := stream.Open(stream.Config{Dir: filepath.Join(s.dir, "stream")})
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	s.tasks, err = worker.OpenTasks(ctx, e.JetStream())
	s.must(err)
	s.journal, err = journal.Open(ctx, e.JetStream())
	s.must(err)
	s.worker, err = worker.New(worker.Config{
		Tasks: s.tasks, Journal: s.journal, Store: s.bucket, Rules: s.rules, AtOnce: s.atOnce, Pause: time.Millisecond, MaxInput: s.input,
		Dir: filepath.Join(s.dir, "work"), Report: s.report, Log: slog.New(slog.DiscardHandler),
		Together: func(_ context.Context, keys []string) func() {
			s.mu.Lock()
			s.together = append(s.together, "("+strings.Join(keys, " "))
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				s.together = append(s.together, ")")
				s.mu.Unlock()
			}
		},
	})
	s.must(err)
	ended := make(chan error, 1)
	run := s.worker
	go func() { ended <- run.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
		e.Close()
	})
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) report(rs []journal.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, rs...)
}

func (s *shop) put(cs ...freshet.Change) {
	s.t.Helper()
	for _, c := range cs {
		s.must(worker.Put(s.t.Context(), s.tasks, s.rules, c))
	}
}

// until waits until something is so.
func (s *shop) until(what string, so func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !so(); {
		if time.Now().After(deadline) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.t.Fatalf("%s is never so; the records are %+v", what, s.records)
		}
		<-time.After(time.Millisecond)
	}
}

// ended waits until everything is done, and returns the last record.
func (s *shop) ended() journal.Record {
	s.t.Helper()
	s.until("the queue is empty", func() bool {
		n, err := s.tasks.Len(s.t.Context())
		return err == nil && n == 0
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.records) == 0 {
		s.t.Fatal("there is no record")
	}
	return s.records[len(s.records)-1]
}

// wantMade wants the last work to have been done.
func (s *shop) wantMade(reason string) {
	s.t.Helper()
	if r := s.ended(); r.State != journal.Made || r.Reason != reason {
		s.t.Errorf("%s: %q, want %q; it said %q", r.State, r.Reason, reason, r.Said)
	}
}

// wantDead wants the last work to have been given up, and something in its
// reason.
func (s *shop) wantDead(reason string) journal.Record {
	s.t.Helper()
	r := s.ended()
	if r.State != journal.Dead || !strings.Contains(r.Reason, reason) {
		s.t.Errorf("%s: %q, want %q", r.State, r.Reason, reason)
	}
	letters, err := s.journal.Dead(s.t.Context())
	s.must(err)
	if len(letters) != 1 || letters[0].Rule != r.Rule || letters[0].Reason != r.Reason || len(letters[0].Left()) != 1 {
		s.t.Errorf("dead letters %+v", letters)
	}
	return r
}

// tries is how often the program was started: it writes a line each time.
func (s *shop) tries() int {
	text, _ := os.ReadFile(filepath.Join(s.dir, "tries"))
	return bytes.Count(text, []byte("\n"))
}

// script is a rule that runs a shell script. $1 is the object, $D a folder of the
// test, in which each start leaves a line.
func script(t *testing.T, text string, change ...func(*work.Rule)) work.Rule {
	r := work.Rule{
		Name: "up", Match: "in/*.txt", Run: []string{"sh", "-c", text, "sh", "{in}"},
		Outputs: []work.Output{{File: "out.txt", Key: "out/{stem}.txt"}},
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

// counted is a script of which each start is counted.
func counted(s *shop, text string) {
	for i := range s.rules {
		s.rules[i].Run[2] = "echo >> " + filepath.Join(s.dir, "tries") + "; D=" + s.dir + "; " + strings.NewReplacer("{", "{{", "}", "}}").Replace(text)
	}
	s.stop()
	s.start()
}

func TestMade(t *testing.T) {
	s := open(t, script(t, `tr a-z A-Z < "$1" > out.txt; env > env.txt; pwd >> env.txt; ls -a >> env.txt; echo said; echo more >&2`, func(r *work.Rule) {
		r.Outputs = append(r.Outputs, work.Output{File: "env.txt", Key: "env/{name}", Type: "text/x-env", CacheControl: "no-cache"})
		r.Environment = map[string]string{"GREETING": "hello world", "LANG": "C"}
	}))
	t.Setenv("SECRET", "of ours")
	s.put(s.set("in/a.txt", "hello", nil), s.set("elsewhere.txt", "x", nil))
	s.wantMade("made out/a.txt, env/a.txt")
	if s.body("out/a.txt") != "HELLO" {
		t.Errorf("made %q", s.body("out/a.txt"))
	}
	env := s.body("env/a.txt")
	for _, want := range []string{"GREETING=hello world\n", "LANG=C\n", "PATH=/usr/local/bin:/usr/bin:/bin\n", "HOME=/"} {
		if !strings.Contains(env, want) {
			t.Errorf("no %q in %q", want, env)
		}
	}
	if strings.Contains(env, "SECRET") {
		t.Error("the program sees our environment")
	}
	o, _ := s.Head(t.Context(), "env/a.txt")
	if o.Type != "text/x-env" || o.CacheControl != "no-cache" || o.Metadata["freshet-made-by"] != "up" || o.Metadata["freshet-made-from"] != "in%2Fa.txt" {
		t.Errorf("%+v", o)
	}
	if o, _ := s.Head(t.Context(), "out/a.txt"); o.Type != "text/plain; charset=utf-8" {
		t.Errorf("%+v", o)
	}
	s.mu.Lock()
	if got := strings.Join(s.together, " "); got != "(out/a.txt env/a.txt )" {
		t.Errorf("together %q", got)
	}
	r := s.records[len(s.records)-1]
	if r.Rule != "up" || r.Said != "said\nmore" || r.Key != "in/a.txt" || len(s.records) != 2 || s.records[0].State != journal.Planned {
		t.Errorf("%+v", s.records)
	}
	s.mu.Unlock()
	if left, err := os.ReadDir(filepath.Join(s.dir, "work")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// The same bytes are no change, and other ones are.
	s.putKeys()
	s.put(s.set("in/a.txt", "hello", nil))
	s.until("it is made again", func() bool { return strings.HasPrefix(s.putKeys(), "env/a.txt") }) // it names its folder
	s.put(s.set("in/a.txt", "bye", nil))
	s.until("it is made anew", func() bool { return s.body("out/a.txt") == "BYE" })
}

func TestTheSameIsNoChange(t *testing.T) {
	s := open(t, script(t, `cp "$1" out.txt`))
	s.put(s.set("in/a.txt", "hello", nil))
	s.wantMade("made out/a.txt")
	s.putKeys()
	s.mu.Lock()
	s.together = nil
	s.mu.Unlock()
	s.put(s.set("in/a.txt", "hello", nil))
	s.until("it is seen to be the same", func() bool { return s.ended().Reason == "unchanged: out/a.txt" })
	if keys := s.putKeys(); keys != "" || len(s.together) != 0 {
		t.Errorf("put %q, held %q", keys, s.together)
	}
}

func TestFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		change func(*work.Rule)
		want   string
		said   string
		tries  int // 0: as many as there may be
	}{
		"exit code":         {script: `echo first; echo no such codec >&2; exit 1`, want: "sh: exit status 1: no such codec", said: "first\nno such codec"},
		"killed":            {script: `kill -9 $$`, want: "sh: signal: killed"},
		"nothing":           {script: `true`, want: "it has not made out.txt"},
		"empty":             {script: `: > out.txt`, want: "out.txt, which it has made: it is empty"},
		"a folder":          {script: `mkdir out.txt`, want: "it is no file"},
		"a link":            {script: `ln -s /etc/passwd out.txt`, want: "it is no file"},
		"a link on the way": {script: `ln -s /etc etc`, change: func(r *work.Rule) { r.Outputs[0].File = "etc/passwd" }, want: "out.txt"},
		"rubbish":           {script: `echo no picture > out.txt`, change: func(r *work.Rule) { r.Outputs[0].Type = "image/jpeg" }, want: "it is no image/jpeg: it looks like text/plain"},
		"too much":          {script: `yes > out.txt`, want: "it has written more than it may: 1048576 bytes (max_output)"},
		"too much at once":  {script: `head -c 2000000 /dev/zero > other`, want: "it has written more than it may"},
		"much said":         {script: `head -c 3000000 /dev/zero | tr '\0' x; echo; echo the end; exit 3`, want: "exit status 3: the end"},
		"no such program":   {script: "", change: func(r *work.Rule) { r.Run[0] = "no-such-program" }, want: "no-such-program was found nowhere in path: /usr/local/bin/no-such-program (not there), /usr/bin/no-such-program (not there), /bin/no-such-program (not there)"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, script(t, "", func(r *work.Rule) { r.Retries = 2 }, func(r *work.Rule) {
				if tt.change != nil {
					tt.change(r)
				}
			}))
			counted(s, tt.script)
			s.put(s.set("in/a.txt", "hello", nil))
			want := tt.want
			if name == "a link on the way" {
				want = "etc/passwd, which it has made"
			}
			r := s.wantDead(want)
			if tt.said != "" && r.Said != tt.said || len(r.Said) > 5000 {
				t.Errorf("it said %d bytes: %.100q", len(r.Said), r.Said)
			}
			if got := s.tries(); got != 3 && name != "no such program" {
				t.Errorf("%d tries", got)
			}
			if s.keys() != "in/a.txt" {
				t.Errorf("there are %s", s.keys())
			}
			if left, err := os.ReadDir(filepath.Join(s.dir, "work")); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// A program that hangs is killed when its time is over, and tried as often as any
// that fails. What a busy machine starts too late to be counted has longer next.
func TestHanging(t *testing.T) {
	for limit := 300 * time.Millisecond; ; limit *= 4 {
		s := open(t, script(t, "", func(r *work.Rule) { r.Retries, r.Timeout = 2, limit }))
		counted(s, `sleep 1000`)
		s.put(s.set("in/a.txt", "hello", nil))
		s.wantDead(fmt.Sprintf("it was not done within %v, and killed", limit))
		if left, err := os.ReadDir(filepath.Join(s.dir, "work")); err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		switch got := s.tries(); {
		case got == 3:
			return
		case got > 3 || limit > 30*time.Second:
			t.Fatalf("%d tries", got)
		}
	}
}

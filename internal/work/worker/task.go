package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/work"
)

// errLasting marks a failure that the next try would repeat.
var errLasting = errors.New("trying again would not help")

// do follows a rule after a change until that is done, or a dead letter.
func (w *Worker) do(ctx context.Context, d delivery) {
	r, known := w.rules[d.Rule]
	if !known || !r.Matches(d.Change.Key) {
		w.cfg.Log.Info("no rule of that name is about it any more", "rule", d.Rule, "key", d.Change.Key)
		w.ack(d)
		return
	}
	record := recordOf(d.Task)
	w.cfg.Report([]journal.Record{record.At(journal.Planned, time.Now())})
	pause := w.cfg.Pause
	for try := 0; ; try++ {
		done, words, err := w.try(ctx, r, d.Change)
		if ctx.Err() != nil {
			return
		}
		record.Said = words
		if err == nil {
			record.Reason = done
			w.end(ctx, d, record.At(journal.Made, time.Now()), nil)
			return
		}
		record.Reason = explained(err, words)
		if try >= r.Retries || errors.Is(err, errLasting) {
			w.end(ctx, d, record.At(journal.Dead, time.Now()), letterOf(d.Task, record.Reason))
			return
		}
		w.cfg.Log.Warn("work will be tried again", "rule", d.Rule, "key", d.Change.Key, "in", pause, "err", record.Reason)
		_ = d.msg.InProgress()
		if w.newer(d) {
			w.ack(d) // what comes has it done
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause *= 4
	}
}

// newer reports whether a newer change of the object waits.
func (w *Worker) newer(d delivery) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.slots[slot{d.Rule, d.Change.Key}]
	return q != nil && q.next != nil
}

// explained is what failed, and the last that the program said; not where the
// program did its part, and what it said has nothing to do with it.
func explained(err error, words string) string {
	if words == "" || errors.Is(err, errLasting) {
		return err.Error()
	}
	lines := strings.Split(words, "\n")
	return err.Error() + ": " + strings.TrimSpace(lines[len(lines)-1])
}

// recordOf is the first record of a task.
func recordOf(t Task) journal.Record {
	r := journal.First(t.Change, time.Now())
	r.ID, r.Rule = work.TaskID(t.Change, t.Rule), t.Rule
	return r
}

// letterOf is a dead letter, which has the task put into the queue again when it
// is revived.
func letterOf(t Task, reason string) *journal.Work {
	return &journal.Work{
		Rule: t.Rule, Reason: reason, Planned: time.Now(), Only: []string{t.Change.ID()},
		Plan: freshet.Plan{ID: "work-" + work.TaskID(t.Change, t.Rule), Changes: []freshet.Change{t.Change}},
	}
}

// end writes down what came of a task, and then forgets it.
func (w *Worker) end(ctx context.Context, d delivery, record journal.Record, letter *journal.Work) {
	write := func(doing string, f func() error) bool {
		for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
			err := f()
			if err == nil {
				return true
			}
			if ctx.Err() != nil {
				return false
			}
			w.cfg.Log.Error(doing+" failed, and is tried again", "err", err)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return false
			}
		}
	}
	if letter != nil && !write("bury a dead letter", func() error { return w.cfg.Journal.Bury(ctx, *letter) }) {
		return
	}
	if !write("write the journal", func() error { return w.cfg.Journal.Append(ctx, []journal.Record{record}) }) {
		return
	}
	w.cfg.Report([]journal.Record{record})
	w.ack(d)
}

// inputFolder is below the folder in which a program runs, and holds the object.
const inputFolder = ".in"

var plainEnding = regexp.MustCompile(`^\.[A-Za-z0-9]{1,8}$`)

// try follows a rule once, and says what was done.
func (w *Worker) try(ctx context.Context, r work.Rule, c freshet.Change) (done, words string, err error) {
	made, err := r.Makes(c.Key)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", err, errLasting)
	}
	if c.Op == freshet.OpDelete {
		done, err = w.unmake(ctx, r, c.Key, made)
		return done, "", err
	}
	folder, err := os.MkdirTemp(w.cfg.Dir, "run-")
	if err != nil {
		return "", "", fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	file := filepath.Join(folder, inputFolder, "object")
	if ending := filepath.Ext(c.Key); plainEnding.MatchString(ending) {
		file += ending
	}
	object, err := w.fetch(ctx, c.Key, file)
	if errors.Is(err, ErrGone) {
		return "the object is gone", "", nil // of which there is news to come
	}
	if err != nil {
		return "", "", err
	}
	way, err := through(object, r)
	if err != nil {
		return "", "", err
	}
	if words, err = command(ctx, r, folder, work.ValuesOf(c.Key, file)); err != nil {
		return "", words, err
	}
	results, err := collect(folder, made)
	if err != nil {
		return "", words, err
	}
	defer closeAll(results)
	if now, err := w.cfg.Store.Head(ctx, c.Key); errors.Is(err, ErrGone) || err == nil && now.ETag != object.ETag {
		return "the object has changed again since", words, nil
	} else if err != nil {
		return "", words, err
	}
	done, err = w.putAll(ctx, r, c.Key, way, results)
	return done, words, err
}

// fetch brings the object.
func (w *Worker) fetch(ctx context.Context, key, file string) (Object, error) {
	object, body, err := w.cfg.Store.Get(ctx, key)
	if err != nil {
		return Object{}, err
	}
	defer func() { _ = body.Close() }()
	if object.Size > w.cfg.MaxInput {
		return Object{}, fmt.Errorf("%s has %d bytes, more than the %d that are fetched: %w", key, object.Size, w.cfg.MaxInput, errLasting)
	}
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		return Object{}, fmt.Errorf("make a folder: %w", err)
	}
	if err := fetched(body, file, w.cfg.MaxInput); err != nil {
		return Object{}, fmt.Errorf("get %s: %w", key, err)
	}
	return object, nil
}

package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// disk is what a follower looks at: files with what is in them.
type disk struct {
	mu       sync.Mutex
	files    map[string]string
	reads    []string // what was read, in order
	problems []string
}

// set writes a file; an empty one is not there.
func (d *disk) set(file, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[file] = text
}

func (d *disk) get(file string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.files[file]
}

var errBroken = errors.New("is broken")

// follow runs a follower of a and b in a bubble of its own, and what happens
// beside it.
func follow(t *testing.T, d *disk, change func(*follower), happens func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &follower{
			stamp:   d.get,
			problem: func(err error) { d.problems = append(d.problems, err.Error()) },
			read: func(context.Context) ([]string, error) {
				now := d.get("a") + d.get("b")
				if strings.Contains(now, "broken") || d.get("a") == "" {
					d.reads = append(d.reads, "-")
					return []string{"a"}, errBroken // b is not reached
				}
				d.reads = append(d.reads, now)
				return []string{"a", "b"}, nil
			},
		}
		if change != nil {
			change(f)
		}
		done := make(chan struct{})
		go func() { defer close(done); f.run(ctx) }()
		synctest.Wait()
		d.reads = nil // of the start
		happens()
		cancel()
		<-done
	})
}

// after lets time go by and everything happen that it brings.
func after(d time.Duration) {
	time.Sleep(d) // in a bubble, this takes no time
	synctest.Wait()
}

func (d *disk) saw(t *testing.T, reads []string, problems ...string) {
	t.Helper()
	if !slices.Equal(d.reads, reads) || !slices.Equal(d.problems, problems) {
		t.Errorf("read %q and said %q, want %q and %q", d.reads, d.problems, reads, problems)
	}
	d.reads, d.problems = nil, nil
}

func TestFilesAreReadWhenTheyChange(t *testing.T) {
	d := &disk{files: map[string]string{"a": "1", "b": "2"}}
	follow(t, d, nil, func() {
		after(time.Minute)
		d.saw(t, nil)
		d.set("b", "3")
		after(lookEvery + settleTime)
		d.saw(t, []string{"13"})
		after(time.Minute)
		d.saw(t, nil)
	})
}

// Several files that are written one after the other are read once.
func TestFilesThatChangeTogetherAreReadOnce(t *testing.T) {
	d := &disk{files: map[string]string{"a": "1", "b": "2"}}
	follow(t, d, nil, func() {
		after(lookEvery - settleTime/4)
		d.set("a", "x")
		after(settleTime / 2)
		d.set("b", "broken")
		after(settleTime / 2)
		d.set("b", "y")
		after(lookEvery)
		d.saw(t, []string{"xy"})
	})
}

// A file that is away for a moment was never away, and one that stays away is
// said once, and read when it comes back.
func TestFilesThatDisappear(t *testing.T) {
	d := &disk{files: map[string]string{"a": "1", "b": "2"}}
	follow(t, d, nil, func() {
		d.set("a", "")
		after(lookEvery + settleTime + grace/2)
		d.saw(t, []string{"-"})
		d.set("a", "3")
		after(grace)
		d.saw(t, []string{"32"})
		d.set("a", "")
		after(time.Minute)
		d.saw(t, []string{"-"}, errBroken.Error())
		d.set("a", "4")
		after(lookEvery + settleTime)
		d.saw(t, []string{"42"})
	})
}

// What is broken is said once, and it is read again where a file changes that
// could not be reached because of it.
func TestFilesThatStayBroken(t *testing.T) {
	d := &disk{files: map[string]string{"a": "1", "b": "2"}}
	follow(t, d, nil, func() {
		d.set("a", "broken")
		after(time.Hour)
		d.saw(t, []string{"-"}, errBroken.Error())
		d.set("b", "other")
		after(time.Minute)
		d.saw(t, []string{"-"}, errBroken.Error())
		d.set("a", "5")
		after(time.Minute)
		d.saw(t, []string{"5other"})
	})
}

// Who asks is answered at once, and so is the word of the file system.
func TestFilesAreReadAtOnceWhenAsked(t *testing.T) {
	d := &disk{files: map[string]string{"a": "1", "b": "2"}}
	var asked, word chan struct{}
	follow(t, d, func(f *follower) {
		asked, word = make(chan struct{}), make(chan struct{}) // in the bubble
		f.asked, f.word = asked, word
	}, func() {
		asked <- struct{}{}
		synctest.Wait()
		d.saw(t, []string{"12"})
		d.set("a", "broken")
		asked <- struct{}{}
		synctest.Wait()
		d.saw(t, []string{"-"}, errBroken.Error())
		d.set("a", "3")
		word <- struct{}{}
		after(settleTime)
		d.saw(t, []string{"32"})
		word <- struct{}{} // about a neighbour
		after(settleTime)
		d.saw(t, nil)
	})
}

// The file system says so when a file is replaced by renaming, too.
func TestFoldersAreWatched(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "1")
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	word, done := make(chan struct{}, 1), make(chan struct{})
	go func() { defer close(done); pass(w, word) }()
	watchFolders(w)([]string{file})
	was := stampOf(file)
	write(file+"~", "22")
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
	select {
	case <-word:
	case <-time.After(2 * time.Minute):
		t.Error("no word of a file that was replaced")
	}
	if stampOf(file) == was || stampOf(filepath.Join(dir, "none")) == was {
		t.Error("a replaced file looks as before")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	<-done
}

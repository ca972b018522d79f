package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSecretsShowNowhereButInJSON(t *testing.T) {
	r := Running{Endpoints: Endpoints{S3: "http://s3", SecretKey: "hush", AccessKey: "FRSH1"}, Token: "hush"}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("up", "running", r, "endpoints", r.Endpoints)
	for _, text := range []string{
		fmt.Sprint(r), fmt.Sprintf("%+v", r), fmt.Sprintf("%#v", r), fmt.Sprint(&r), fmt.Sprintf("%+v", r.Endpoints), logged.String(),
	} {
		if strings.Contains(text, "hush") || !strings.Contains(text, "http://s3") {
			t.Errorf("prints as %s", text)
		}
	}
}

func TestKeysAreMadeOnceAndForTheOwnerOnly(t *testing.T) {
	d := DataDir(t.TempDir())
	if _, err := d.KnownIdentity(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before there are keys: %v", err)
	}
	first, err := d.Identity()
	if err != nil {
		t.Fatal(err)
	}
	second, err := d.KnownIdentity()
	if err != nil || second != first {
		t.Errorf("first %v, then %v: %v", first, second, err)
	}
	info, err := os.Stat(d.path("keys.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	if err := os.WriteFile(d.path("keys.json"), []byte(`{"access_key":"A"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Identity(); err == nil || !strings.Contains(err.Error(), "incomplete") {
		t.Errorf("half of the keys: %v", err)
	}
}

func TestADataDirectoryIsOneProcess(t *testing.T) {
	d := DataDir(t.TempDir())
	unlock, err := d.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.lock(); !errors.Is(err, ErrInUse) {
		t.Errorf("taken twice: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = d.lock(); err != nil {
		t.Fatalf("not free again: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

// TestACrashedRunIsNotRunning: it has left word of itself behind.
func TestACrashedRunIsNotRunning(t *testing.T) {
	d := DataDir(t.TempDir())
	unlock, err := d.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Running(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before it is up: %v", err)
	}
	if err := d.writeJSON("running.json", Running{Token: "x"}); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Running(); err != nil || r.Token != "x" {
		t.Errorf("while it runs: %v", err)
	}
	if err := unlock(); err != nil { // as the system does when a process is killed
		t.Fatal(err)
	}
	if _, err := d.Running(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a crash: %v", err)
	}
	if _, err := DataDir(d.path("missing")).Running(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
	if unlock, err = d.lock(); err != nil {
		t.Fatalf("asking has taken it: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

// TestARetryMeansWhatIsDead: a dead letter keeps its whole plan, of which other
// changes were done.
func TestARetryMeansWhatIsDead(t *testing.T) {
	a, b := freshet.Change{Key: "a", Sequencer: "1"}, freshet.Change{Key: "b", Sequencer: "1"}
	w := journal.Work{Plan: freshet.Plan{Changes: []freshet.Change{a, b}}, Only: []string{a.ID()}}
	for keys, want := range map[string]bool{"": true, "a": true, "b": false, "b a": true, "c": false} {
		if got := selects(server.Selection{Keys: strings.Fields(keys)})(w); got != want {
			t.Errorf("keys %q select it: %v", keys, got)
		}
	}
}

// TestServeEndsAfterItsLastAnswer: what the handlers work on is closed next.
func TestServeEndsAfterItsLastAnswer(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked, release, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-release
		close(answered)
	})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, s, l, time.Minute) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	got := make(chan error, 1)
	go func() {
		resp, err := client.Get("http://" + l.Addr().String())
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		got <- err
	}()
	<-asked
	stopping := make(chan struct{})
	s.RegisterOnShutdown(func() { close(stopping) })
	cancel()
	<-stopping
	time.AfterFunc(50*time.Millisecond, func() { close(release) }) // time enough for serve to end too early
	if err := <-ended; err != nil {
		t.Error(err)
	}
	select {
	case <-answered:
	default:
		t.Error("ended while a request was being answered")
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// TestServeCutsOffWhatDoesNotEnd: an answer that goes on has its time, and no
// more.
func TestServeCutsOffWhatDoesNotEnd(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})}
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, s, l, time.Millisecond) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := client.Get("http://" + l.Addr().String()); err == nil {
		_ = resp.Body.Close()
		t.Error("an answer that does not end has ended")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// ffmpeg runs it, or skips the test where there is none.
func ffmpeg(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("there is no ffmpeg; scripts/install-test-programs installs it")
		}
		t.Skip("there is no ffmpeg")
	}
	c := exec.Command("ffmpeg", append([]string{"-nostdin", "-v", "error", "-y"}, args...)...)
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %q: %v\n%s", args, err, said)
	}
}

// video is a second of a test picture and a tone, each with what the example
// makes of it.
type video struct{ film, poster, sound []byte }

func newVideo(t *testing.T, n int) (v video) {
	t.Helper()
	dir := t.TempDir()
	film, poster, sound := filepath.Join(dir, "film.mp4"), filepath.Join(dir, "poster.jpg"), filepath.Join(dir, "sound.m4a")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc=d=1:r=5:s="+fmt.Sprintf("%dx48", 64+16*n), "-f", "lavfi", "-i", fmt.Sprintf("sine=f=%d:d=1", 300+100*n), "-bitexact", film)
	ffmpeg(t, "-i", film, "-map", "0:v:0", "-frames:v", "1", "-bitexact", poster, "-map", "0:a:0", "-c:a", "aac", "-b:a", "96k", "-bitexact", sound)
	for file, into := range map[string]*[]byte{film: &v.film, poster: &v.poster, sound: &v.sound} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		*into = text
	}
	return v
}

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The example of videos, killed at random while ffmpeg runs and while what it has
// made is put: in the end viewers get the poster and the sound of the last
// video, the page with them was invalidated in the same request, and no ffmpeg
// is left behind.
func TestWorkIsDoneWhateverIsKilledWhen(t *testing.T) {
	videos := []video{newVideo(t, 0), newVideo(t, 1), newVideo(t, 2)}
	config := example(t, "video/freshet.yaml")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	data := filepath.Join(t.TempDir(), "data")
	rounds := 4
	if long() {
		rounds = 60
	}
	last := 0
	for n := range rounds {
		f := start(t, options{data: data, config: config})
		c := f.s3(t)
		if n == 0 {
			f.putVerified(t, c, "pages/waves.html", "a page with a poster")
			f.viewer(t).wantBody(t, "/pages/waves.html", "a page with a poster")
		}
		last = n % len(videos)
		f.mustPut(t, c, "video/waves.mp4", string(videos[last].film))
		<-time.After(time.Duration(random.IntN(400)) * time.Millisecond)
		f.kill()
	}
	f := start(t, options{data: data, config: config})
	v := f.viewer(t)
	f.idle(t)
	v.wantBody(t, "/video/waves.jpg", string(videos[last].poster))
	v.wantBody(t, "/video/waves.m4a", string(videos[last].sound))
	seen, err := v.get("/video/waves.jpg")
	if err != nil || seen.header.Get("Content-Type") != "image/jpeg" || seen.header.Get("Cache-Control") != "max-age=86400" {
		t.Errorf("%+v, %v", seen.header, err)
	}
	wantTogether(t, f.history(t))
	if left := processes(t, data); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
	// Gone with the video.
	key := "video/waves.mp4"
	if _, err := f.s3(t).DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &f.Bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
	f.idle(t)
	v.wantGone(t, "/video/waves.jpg")
	v.wantGone(t, "/video/waves.m4a")
}

// idle waits until all work is done and every change is at its end.
func (f *running) idle(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; {
		metrics := f.metrics(t)
		if strings.Contains(metrics, "\nfreshet_work_running 0\n") && strings.Contains(metrics, "\nfreshet_work_waiting 0\n") && strings.Contains(metrics, "\nfreshet_queue_waiting 0\n") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is never idle\n%s", f.run(t, "log"))
		}
		<-tick.C
	}
}

// wantTogether wants all that was done to have been done well, and the page to
// have been invalidated with each poster.
func wantTogether(t *testing.T, all []record) {
	t.Helper()
	made, together := 0, 0
	for _, r := range all {
		switch {
		case r.State == "dead":
			t.Errorf("dead: %+v", r)
		case r.State == "made" && strings.HasPrefix(r.Reason, "made "):
			made++
		case r.State == verified && r.Key == "video/waves.jpg":
			if !slices.Contains(r.Patterns, "/pages/waves.html") {
				t.Errorf("invalidated without its page: %+v", r)
			}
			together++
		}
	}
	if made == 0 || together == 0 {
		t.Errorf("%d were made, %d posters verified", made, together)
	}
}

// processes are those whose command line has a text in it.
func processes(t *testing.T, text string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		program, _, _ := bytes.Cut(line, []byte{0})
		if err == nil && filepath.Base(string(program)) == "ffmpeg" && bytes.Contains(line, []byte(text)) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

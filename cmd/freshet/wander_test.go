package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/rogpeppe/go-internal/testscript"
)

// wander SEED N makes N commits of a site in repo/public at random, and deploys
// one of them after each, mostly the newest. Some deploys are killed. After each
// that was not, the bucket holds what the commit has.
func wander(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: wander seed n")
	}
	seed, err := strconv.ParseUint(args[0], 10, 64)
	ts.Check(err)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	w := &wandering{ts: ts, chance: rand.New(rand.NewPCG(seed, 1)), sites: []map[string]string{{}}}
	w.git("init", "-q", "-b", "main")
	for i := range n {
		w.commit()
		target := len(w.sites) - 1
		if w.chance.IntN(4) == 0 {
			target = 1 + w.chance.IntN(target)
		}
		kill := time.Duration(0)
		if i > 0 && i < n-1 && w.chance.IntN(3) == 0 {
			kill = time.Duration(20+w.chance.IntN(200)) * time.Millisecond
		}
		w.deploy(target, kill)
	}
}

type wandering struct {
	ts     *testscript.TestScript
	chance *rand.Rand
	sites  []map[string]string // by number of the commit, from 1 on: content by key
	killed int
}

func (w *wandering) git(args ...string) {
	c := exec.Command("git", args...)
	c.Dir = w.ts.MkAbs("repo")
	w.ts.Check(os.MkdirAll(c.Dir, 0o755))
	c.Env = append(environment(w.ts), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+w.ts.Getenv("GIT_CONFIG_GLOBAL"))
	if out, err := c.CombinedOutput(); err != nil {
		w.ts.Fatalf("git %q: %v: %s", args, err, out)
	}
}

// commit changes a few files, and perhaps brings back what an earlier commit had.
func (w *wandering) commit() {
	site := maps.Clone(w.sites[len(w.sites)-1])
	if w.chance.IntN(5) == 0 {
		site = maps.Clone(w.sites[w.chance.IntN(len(w.sites))])
	}
	for range 1 + w.chance.IntN(3) {
		key := []string{"index.html", "a/index.html", "a/b.css", "c d.html", "é.txt", "x/y/z.js"}[w.chance.IntN(6)]
		if w.chance.IntN(4) == 0 {
			delete(site, key)
		} else {
			site[key] = fmt.Sprint("content ", w.chance.IntN(3))
		}
	}
	site["always.html"] = "content"
	w.ts.Check(os.RemoveAll(w.ts.MkAbs("repo/public")))
	for key, content := range site {
		name := filepath.Join(w.ts.MkAbs("repo/public"), filepath.FromSlash(key))
		w.ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
		w.ts.Check(os.WriteFile(name, []byte(content), 0o644))
	}
	w.git("add", "-A")
	w.git("commit", "-q", "--allow-empty", "-m", "m")
	w.git("tag", fmt.Sprint("w", len(w.sites)))
	w.sites = append(w.sites, site)
}

func (w *wandering) deploy(target int, kill time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if kill > 0 {
		ctx, cancel = context.WithTimeout(ctx, kill) // which kills it
		defer cancel()
	}
	path, err := exec.LookPath("freshet")
	w.ts.Check(err)
	c := exec.CommandContext(ctx, path, "deploy", "--git", fmt.Sprint("w", target), "--repo", "repo", "--path", "public", "--max-delete", "100%", "--no-lock", "s3://site")
	c.Dir = w.ts.MkAbs(".")
	c.Env = environment(w.ts)
	out, err := c.CombinedOutput()
	w.ts.Logf("[deploy of w%d, killed after %v]\n%s", target, kill, out)
	if kill > 0 && ctx.Err() != nil {
		w.killed++
		return
	}
	w.ts.Check(err)
	want := make(map[string]string)
	for key, content := range w.sites[target] {
		sum := md5.Sum([]byte(content))
		want[key] = hex.EncodeToString(sum[:])
	}
	if held := w.held(); !maps.Equal(held, want) {
		w.ts.Fatalf("after the deploy of w%d the bucket holds %q, want %q", target, held, want)
	}
}

// held are the ETags of the site's objects by key.
func (w *wandering) held() map[string]string {
	listed, err := client(w.ts).ListObjectsV2(context.Background(), &s3.ListObjectsV2Input{Bucket: aws.String(w.ts.Getenv("BUCKET"))})
	w.ts.Check(err)
	held := make(map[string]string)
	for _, o := range listed.Contents {
		if key := aws.ToString(o.Key); !strings.HasPrefix(key, ".freshet/") {
			held[key] = strings.Trim(aws.ToString(o.ETag), `"`)
		}
	}
	return held
}

package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet"
)

// oddKeys are object keys that somebody somewhere gets wrong. Some of them
// differ only in what is often taken for the same.
func oddKeys() []string {
	return []string{
		"plain.html", "a b.txt", " lead and trail ", "a+b.txt", "50%", "%41", "%2F", "é/ü.html", "e\u0301/decomposed.html", "~user/x", "x~",
		"a#b", "a?b=c", "'single'", `"double"`, strings.Repeat("l", 1000), strings.Repeat("many/", 199) + "deep!", "dir/", "dir", "a//b", "a/b",
		"x/../y", "y", "conf", "conf/x", "/lead", "lead", `back\slash`, "st*ar", "star*", "star", "🙂/🙃", "<&>.xml", "n\nl", "index.html", "sub/index.html",
		"a&b=c;d", "a:b@c,d", "[x]{y}|z^`", "(1)$!.txt", "CASE", "case", "tab\tx", ".hidden", "a/./b", "a=b", "comma,", "\u200bzero",
	}
}

// botoClient is a Python process that does what it is told with boto3.
type botoClient struct {
	in  io.Writer
	out *bufio.Scanner
}

func startBoto(t *testing.T, f *running) *botoClient {
	t.Helper()
	c := exec.Command(python(t), filepath.Join("testdata", "boto3_client.py"), f.S3, f.Bucket)
	c.Env = f.environ()
	var stderr safeBuffer
	c.Stderr = &stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("python: %v\n%s", err, stderr.String())
		}
	})
	return &botoClient{in, bufio.NewScanner(out)}
}

// do has one thing done and returns what came of it.
func (b *botoClient) do(t *testing.T, order map[string]any) any {
	t.Helper()
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(b.in, "%s\n", text); err != nil || !b.out.Scan() {
		t.Fatalf("%s: python has ended: %v", text, err)
	}
	var answer struct {
		Result any
		Error  string
	}
	if err := json.Unmarshal(b.out.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Error != "" {
		t.Fatalf("%s: %s", text, answer.Error)
	}
	return answer.Result
}

// spellings are the paths under which viewers may ask for key: ours, Python's,
// and the key as it is where that is a path of the same object at all.
func (b *botoClient) spellings(t *testing.T, key string) []string {
	t.Helper()
	paths := append(freshet.KeyPaths(key), "/"+b.do(t, map[string]any{"op": "quote", "key": key}).(string))
	if !strings.ContainsAny(key, "%?+ \n\t") {
		paths = append(paths, "/"+key)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// Whatever the name of an object and whichever way it is changed, after
// verification every spelling of its URL shows what it is now.
func TestBoto3(t *testing.T) {
	f := start(t, options{})
	boto, view := startBoto(t, f), f.viewer(t)
	keys := oddKeys()
	paths := make(map[string][]string)
	for _, key := range keys {
		paths[key] = boto.spellings(t, key)
	}
	paths["index.html"] = append(paths["index.html"], "/")
	body := func(version, key string) string { return version + " of " + key }
	boto.do(t, map[string]any{"op": "put", "key": "source", "body": "copied"})

	change := func(version string, do func(key string) string) {
		t.Helper()
		n, etags := f.log.len(), make(map[string]string)
		for _, key := range keys {
			etags[key] = strings.Trim(do(key), `"`)
		}
		f.log.verifiedETags(t, n, etags)
		for _, key := range keys {
			want := body(version, key)
			if version == "" {
				want = "copied"
			}
			for _, path := range paths[key] {
				view.wantBody(t, path, want)
			}
		}
	}
	put := func(op, version string) func(string) string {
		return func(key string) string {
			return boto.do(t, map[string]any{"op": op, "key": key, "body": body(version, key)}).(string)
		}
	}
	change("v1", put("put", "v1"))
	change("v2", put("put", "v2"))
	change("v3", put("multipart", "v3"))
	change("", func(key string) string {
		return boto.do(t, map[string]any{"op": "copy", "key": key, "source": "source"}).(string)
	})

	n, gone := f.log.len(), make(map[string]string)
	for _, key := range keys {
		gone[key] = ""
	}
	for _, key := range keys[:len(keys)/2] {
		boto.do(t, map[string]any{"op": "delete", "key": key})
	}
	boto.do(t, map[string]any{"op": "delete_objects", "keys": keys[len(keys)/2:]})
	f.log.verifiedETags(t, n, gone)
	for _, key := range keys {
		for _, path := range paths[key] {
			view.wantGone(t, path)
			view.wantGone(t, path)
		}
	}
	change("v4", put("put", "v4")) // although every 404 may have been cached
	all, _ := f.log.since(0)
	for id, steps := range byChange(all) {
		if last := steps[len(steps)-1]; last.State != verified {
			t.Errorf("change %s of %q ended as %s: %s", id, last.Key, last.State, last.Reason)
		}
	}
	t.Logf("%d keys, %d spellings", len(keys), func() (n int) {
		for _, p := range paths {
			n += len(p)
		}
		return n
	}())
}

package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// deliver [-secret TEXT] PATH FILE sends a file as a webhook to the running
// freshet: signed as GitHub signs it, and with MinIO's token. The status and the
// answer become the standard output.
func deliver(ts *testscript.TestScript, neg bool, args []string) {
	secret := "s3cret"
	if len(args) > 2 && args[0] == "-secret" {
		secret, args = args[1], args[2:]
	}
	if neg || len(args) != 2 {
		ts.Fatalf("usage: deliver [-secret text] path file")
	}
	body := []byte(ts.ReadFile(args[1]))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, ts.Getenv("HOOKS")+args[0], bytes.NewReader(body))
	ts.Check(err)
	sum := hmac.New(sha256.New, []byte(secret))
	_, _ = sum.Write(body)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(sum.Sum(nil)))
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	_, err = fmt.Fprintf(ts.Stdout(), "%d %s\n", resp.StatusCode, text)
	ts.Check(err)
}

// elsewhere DIR serves a directory as a bucket elsewhere, which tells a file's
// hash as its ETag, and sets ELSEWHERE to its URL.
func elsewhere(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: elsewhere dir")
	}
	root := ts.MkAbs(args[0])
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(strings.TrimPrefix(r.URL.Path, "/"))))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		sum := sha256.Sum256(content)
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", "max-age=86400")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	ts.Defer(s.Close)
	ts.Setenv("ELSEWHERE", s.URL)
}

package function_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/freshet/freshet/internal/function"
)

var update = flag.Bool("update", false, "write what came out into testdata as what is wanted")

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// TestCases runs each archive in testdata: function.js (or function-1.0.js),
// possibly kvs.json, and for each case NAME.request (a request line and headers)
// or NAME.event (JSON), with what is wanted of it: NAME.output, NAME.log and
// NAME.error. Findings are in the file of that name.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			a := readArchive(t, archive)
			a.run(t)
			if *update {
				a.write(t, name)
			}
		})
	}
}

type archive struct {
	*txtar.Archive
	program *function.Program
	store   function.Store
}

func readArchive(t *testing.T, raw *txtar.Archive) *archive {
	a := &archive{Archive: raw}
	if text, ok := a.file("kvs.json"); ok {
		table, err := function.ParseStore([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		table.Created, table.Updated = noon.Add(-time.Hour), noon
		a.store = table
	}
	code, rt := "", function.JS20
	if text, ok := a.file("function.js"); ok {
		code = text
	} else if text, ok := a.file("function-1.0.js"); ok {
		code, rt = text, function.JS10
	} else {
		t.Fatal("there is no function.js")
	}
	var err error
	a.program, err = function.Compile("function.js", []byte(code), rt)
	a.compare(t, "compile.error", errorText(err))
	var findings strings.Builder
	if err == nil {
		for _, f := range a.program.Findings() {
			findings.WriteString(f.String() + "\n")
		}
	}
	a.compare(t, "findings", findings.String())
	return a
}

func (a *archive) file(name string) (string, bool) {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data), true
		}
	}
	return "", false
}

func (a *archive) run(t *testing.T) {
	if a.program == nil {
		return
	}
	cases := 0
	for _, f := range slices.Clone(a.Files) {
		name, kind, _ := strings.Cut(f.Name, ".")
		var ev function.Event
		switch kind {
		case "request":
			ev = requestEvent(t, f.Data)
		case "event":
			var err error
			if ev, err = function.ParseEvent(f.Data); err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
		default:
			continue
		}
		cases++
		// Twice, since the second run meets what the first one left behind.
		for range 2 {
			a.once(t, name, ev)
		}
	}
	if cases == 0 {
		t.Error("the archive has no case")
	}
}

func (a *archive) once(t *testing.T, name string, ev function.Event) {
	t.Helper()
	result, err := a.program.Run(t.Context(), ev, function.Options{
		KVS: a.store, Now: noon, Edge: function.Edge{Name: "FRA", ServerIP: "192.0.2.1", Region: "eu-central-1"},
		Limits: function.Patient(function.Limits{Steps: 4000, Memory: 1 << 19}),
	})
	out, broken := result.Output()
	if broken != nil {
		t.Fatal(broken)
	}
	if len(out) > 0 {
		var lines bytes.Buffer
		if err := json.Indent(&lines, out, "", "  "); err != nil {
			t.Fatal(err)
		}
		out = append(lines.Bytes(), '\n')
	}
	var log strings.Builder
	for _, l := range result.Logs {
		log.WriteString(l + "\n")
	}
	for _, o := range result.Origins {
		log.WriteString("cf." + o.Method + string(o.Arguments) + "\n")
	}
	if result.LogData != "" {
		log.WriteString("cf.logCustomData " + result.LogData + "\n")
	}
	a.compare(t, name+".output", string(out))
	a.compare(t, name+".log", log.String())
	a.compare(t, name+".error", errorText(err))
	if result.Utilization < 0 || result.Utilization > 100 {
		t.Errorf("%s: utilization %d", name, result.Utilization)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	var e *function.Error
	if errors.As(err, &e) {
		return string(e.Kind) + ": " + e.Error() + "\n"
	}
	return err.Error() + "\n"
}

// compare also fails for what is there and not wanted.
func (a *archive) compare(t *testing.T, name, got string) {
	t.Helper()
	want, _ := a.file(name)
	if got == want {
		return
	}
	if !*update {
		t.Errorf("%s:\n%swanted:\n%s", name, got, want)
		return
	}
	a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	if got != "" {
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(got)})
	}
}

func (a *archive) write(t *testing.T, name string) {
	t.Helper()
	if err := writeFile(name, txtar.Format(a.Archive)); err != nil {
		t.Fatal(err)
	}
}

// requestEvent reads a request as HTTP writes it; the version may be left out.
func requestEvent(t *testing.T, text []byte) function.Event {
	t.Helper()
	line, rest, _ := strings.Cut(string(text), "\n")
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(line + " HTTP/1.1\r\n" + strings.ReplaceAll(rest, "\n", "\r\n") + "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	target := strings.Fields(line)[1]
	path, query, found := strings.Cut(target, "?")
	var raw *string
	if found {
		raw = &query
	}
	return function.Event{
		Context: function.Context{EventType: function.ViewerRequest, DistributionID: "EDFDVBD6EXAMPLE"},
		Viewer:  function.Viewer{IP: "198.51.100.11"},
		Request: function.RequestOf(req.Method, req.Host, path, raw, req.Header),
	}
}

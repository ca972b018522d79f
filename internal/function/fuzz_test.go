package function_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/freshet/freshet/internal/function"
)

// FuzzRun takes any bytes as code and as an event. Whatever they are, the run
// ends, and it ends with a result or with an error, never with both or neither.
func FuzzRun(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		event := `{"context":{"eventType":"viewer-request"},"viewer":{"ip":"::1"},"request":{"method":"GET","uri":"/a?b","querystring":{"a":{"value":"b"}},"headers":{"host":{"value":"x"}}}}`
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".event") {
				event = string(file.Data)
			}
		}
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".js") {
				f.Add(file.Data, []byte(event), strings.HasSuffix(file.Name, "1.0.js"))
			}
		}
	}
	store := function.Table{Pairs: map[string]string{"a": "b"}}
	f.Fuzz(func(t *testing.T, code, event []byte, old bool) {
		rt := function.JS20
		if old {
			rt = function.JS10
		}
		p, err := function.Compile("f.js", code, rt)
		if err != nil {
			var refused *function.CompileError
			if !errors.As(err, &refused) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		ev, err := function.ParseEvent(event)
		if err != nil {
			ev = get("/")
		}
		limits := function.Limits{Steps: 2000, Time: 200 * time.Millisecond}
		r, err := p.Run(t.Context(), ev, function.Options{KVS: store, Limits: limits})
		if (err == nil) != (r.Request != nil || r.Response != nil) || r.Request != nil && r.Response != nil {
			t.Errorf("%v and %+v", err, r)
		}
		if _, err := r.Output(); err != nil {
			t.Errorf("output: %v", err)
		}
	})
}

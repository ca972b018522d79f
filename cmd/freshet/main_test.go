package main

import (
	"flag"
	"net/url"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the files that the scripts compare with")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"freshet": main})
}

// TestScripts runs the scripts in testdata against the program itself, each in
// a directory of its own. What the commands beyond testscript's own do stands
// with their functions.
//
//	go test ./cmd/freshet -update
//
// writes what was printed into the files that scripts compare it with.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Values[processesKey{}] = make(map[string]*process)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each of many short runs otherwise
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serve, "start": start, "await": await, "mark": mark, "end": end,
			"get": get, "put": put, "del": del, "code": code, "bury": bury, "refusing": refusing, "another": another, "scrape": scrape, "certify": certify, "codecommit": codecommit, "deliver": deliver, "elsewhere": elsewhere, "wander": wander,
		},
	})
}

// host is the host and port of a URL.
func host(ts *testscript.TestScript, raw string) string {
	u, err := url.Parse(raw)
	ts.Check(err)
	return u.Host
}

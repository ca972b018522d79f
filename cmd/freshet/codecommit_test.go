package main

import (
	"net/http/httptest"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/freshet/freshet/internal/source/codecommit/codecommittest"
)

// codecommit serves a repository of CodeCommit called pages, with three commits
// on main, and a fourth that has nothing to do with them on other. Their IDs are
// then in C1 to C4, and the AWS SDK finds it.
func codecommit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: codecommit")
	}
	s := codecommittest.New("pages")
	ts.Setenv("C1", s.Add("main", "one", nil, "public/index.html=1", "public/old.html=1", "README=1"))
	ts.Setenv("C2", s.Add("main", "two", []string{ts.Getenv("C1")}, "public/index.html=2", "public/old.html=1", "README=2"))
	ts.Setenv("C3", s.Add("main", "three", []string{ts.Getenv("C2")}, "public/index.html=2", "public/new page.html=1", "README=2"))
	ts.Setenv("C4", s.Add("other", "four", nil, "public/index.html=4"))
	at := httptest.NewServer(s)
	ts.Defer(at.Close)
	ts.Setenv("AWS_ENDPOINT_URL_CODECOMMIT", at.URL)
	ts.Setenv("AWS_REGION", "eu-west-1")
	ts.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	ts.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
}

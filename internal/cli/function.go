package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/freshet/freshet/internal/function"
)

type functionCmd struct {
	Test functionTestCmd `cmd:"" help:"Run a CloudFront function with an event, as aws cloudfront test-function does."`
}

type functionTestCmd struct {
	File    string   `arg:"" help:"The function's code, or - for standard input."`
	Event   string   `short:"e" placeholder:"FILE" help:"The event object in JSON, - for standard input, or a directory: all its .json files, one after another."`
	URL     string   `name:"url" placeholder:"URL" help:"Instead of an event: a viewer's request for this URL."`
	Method  string   `default:"GET" placeholder:"METHOD" help:"With --url: its method."`
	Header  []string `short:"H" placeholder:"'NAME: VALUE'" sep:"none" help:"With --url: a header of it. May be given several times."`
	Runtime string   `default:"cloudfront-js-2.0" enum:"cloudfront-js-1.0,cloudfront-js-2.0" help:"${enum}."`
	KVS     string   `name:"kvs" placeholder:"FILE" help:"Associate a key value store with these pairs: JSON as CloudFront imports it, or an object of strings."`
	Stage   string   `default:"DEVELOPMENT" enum:"DEVELOPMENT,LIVE" help:"What the summary shows: ${enum}."`
	JSON    bool     `name:"json" help:"Print what aws cloudfront test-function prints, on one line."`
}

// Help is shown below the flags.
func (functionTestCmd) Help() string {
	return `Nothing leaves this machine. ComputeUtilization counts statements, where CloudFront
measures time. What the code uses without being documented for its runtime is listed as a warning:
it runs here and may fail on CloudFront.

Examples:
  freshet function test rewrite.js --url https://example.com/blog/
  freshet function test rewrite.js --event event.json --json
  freshet function test rewrite.js --event events/
  freshet function test redirects.js --kvs pairs.json --url '/old?x=1' -H 'Cookie: beta=1'
  echo "$EVENT" | freshet function test rewrite.js --event -

Exit codes: 0 the function returned a request or a response, for each event; 1 it failed; 2 wrong usage.`
}

// Validate refuses what would be left undone.
func (c *functionTestCmd) Validate() error {
	switch {
	case (c.Event == "") == (c.URL == ""):
		return errors.New("either --event or --url is needed")
	case c.URL == "" && (len(c.Header) > 0 || c.Method != http.MethodGet):
		return errors.New("--method and --header need --url: an event has its own")
	case c.Event == "-" && c.File == "-":
		return errors.New("code and event cannot both come from standard input")
	}
	return nil
}

// functionTest is what aws cloudfront test-function prints.
type functionTest struct {
	TestResult functionTestResult
	Warnings   []string `json:"Warnings,omitempty"` // ours
	Event      string   `json:"Event,omitempty"`    // ours: the file, where there are several
}

type functionTestResult struct {
	FunctionSummary       functionSummary
	ComputeUtilization    string
	FunctionExecutionLogs []string
	FunctionErrorMessage  string
	FunctionOutput        string
}

type functionSummary struct {
	Name             string
	Status           string
	FunctionConfig   functionConfig
	FunctionMetadata functionMetadata
}

type functionConfig struct {
	Comment string
	Runtime string
}

type functionMetadata struct {
	Stage string
}

// namedEvent is an event with its file's name, empty where there is only one.
type namedEvent struct {
	name  string
	event function.Event
}

// events reads what the function is to be run with, in the order of the names.
func (c *functionTestCmd) events(t terminal) ([]namedEvent, error) {
	about, err := os.Stat(c.Event)
	if c.Event == "" || c.Event == "-" || err == nil && !about.IsDir() {
		ev, err := c.event(t)
		return []namedEvent{{event: ev}}, err
	}
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(c.Event, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%s has no .json files", c.Event)
	}
	events := make([]namedEvent, 0, len(files))
	for _, file := range files {
		text, err := readNamed(t, file)
		if err != nil {
			return nil, err
		}
		ev, err := function.ParseEvent(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		events = append(events, namedEvent{filepath.Base(file), ev})
	}
	return events, nil
}

// Run runs the function once for each event.
func (c *functionTestCmd) Run(ctx context.Context, t terminal) error {
	code, err := readNamed(t, c.File)
	if err != nil {
		return usageError("%w", err)
	}
	events, err := c.events(t)
	if err != nil {
		return usageError("%w", err)
	}
	opts := function.Options{Edge: function.Edge{Name: "LOC", ServerIP: "127.0.0.1", Region: "local"}}
	if c.KVS != "" {
		text, err := os.ReadFile(c.KVS)
		if err != nil {
			return usageError("%w", err)
		}
		table, err := function.ParseStore(text)
		if err != nil {
			return usageError("%s: %w", c.KVS, err)
		}
		opts.KVS = table
	}
	var failed error
	for i, ev := range events {
		out := c.test(ctx, code, ev.event, opts)
		if out.Event = ev.name; i > 0 && !c.JSON {
			out.Warnings = nil // they are about the code
		}
		if err := c.report(t, out); err != nil {
			failed = err
		}
	}
	return failed
}

// test compiles and runs; what fails is part of the result.
func (c *functionTestCmd) test(ctx context.Context, code []byte, ev function.Event, opts function.Options) functionTest {
	name := filepath.Base(c.File)
	out := functionTest{TestResult: functionTestResult{
		FunctionSummary: functionSummary{
			Name:             strings.TrimSuffix(name, filepath.Ext(name)),
			Status:           "UNPUBLISHED",
			FunctionConfig:   functionConfig{Runtime: c.Runtime},
			FunctionMetadata: functionMetadata{Stage: c.Stage},
		},
		ComputeUtilization:    "0",
		FunctionExecutionLogs: []string{},
	}}
	program, err := function.Compile(name, code, function.Runtime(c.Runtime))
	if err != nil {
		out.TestResult.FunctionErrorMessage = err.Error()
		return out
	}
	for _, f := range program.Findings() {
		out.Warnings = append(out.Warnings, name+":"+f.String())
	}
	result, err := program.Run(ctx, ev, opts)
	if err != nil {
		out.TestResult.FunctionErrorMessage = err.Error()
	}
	output, err := result.Output()
	if err != nil && out.TestResult.FunctionErrorMessage == "" {
		out.TestResult.FunctionErrorMessage = err.Error()
	}
	out.TestResult.FunctionOutput = string(output)
	out.TestResult.FunctionExecutionLogs = append(out.TestResult.FunctionExecutionLogs, result.Logs...)
	for _, o := range result.Origins {
		out.TestResult.FunctionExecutionLogs = append(out.TestResult.FunctionExecutionLogs, "cf."+o.Method+string(o.Arguments))
	}
	out.TestResult.ComputeUtilization = strconv.Itoa(result.Utilization)
	return out
}

func (c *functionTestCmd) report(t terminal, out functionTest) error {
	var err error
	if c.JSON {
		e := json.NewEncoder(t.out)
		e.SetEscapeHTML(false) // the output is read by people, too
		err = e.Encode(out)
	} else {
		err = out.print(t)
	}
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if out.TestResult.FunctionErrorMessage != "" {
		return exitError{code: exitFailed}
	}
	return nil
}

// print writes the result for people; warnings go to standard error.
func (out functionTest) print(t terminal) error {
	for _, w := range out.Warnings {
		fmt.Fprintf(t.err, "freshet: warning: %s\n", w)
	}
	r := out.TestResult
	var b strings.Builder
	if out.Event != "" {
		fmt.Fprintf(&b, "event   %s\n", out.Event)
	}
	for _, line := range r.FunctionExecutionLogs {
		fmt.Fprintf(&b, "log     %s\n", line)
	}
	if r.FunctionErrorMessage != "" {
		fmt.Fprintf(&b, "failed  %s\n", r.FunctionErrorMessage)
	}
	fmt.Fprintf(&b, "used    %s %% of the statements that a run may execute\n", r.ComputeUtilization)
	if r.FunctionOutput != "" {
		var indented strings.Builder
		e := json.NewEncoder(&indented)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(json.RawMessage(r.FunctionOutput)); err != nil {
			return err
		}
		b.WriteString(indented.String())
	}
	_, err := io.WriteString(t.out, b.String())
	return err
}

func (c *functionTestCmd) event(t terminal) (function.Event, error) {
	if c.URL != "" {
		return c.sample()
	}
	text, err := readNamed(t, c.Event)
	if err != nil {
		return function.Event{}, err
	}
	return function.ParseEvent(text)
}

// sample is a viewer's request for --url. Its identifiers are those of
// CloudFront's own examples.
func (c *functionTestCmd) sample() (function.Event, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return function.Event{}, fmt.Errorf("--url: %w", err)
	}
	header := make(http.Header)
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return function.Event{}, fmt.Errorf("--header %q: it must be NAME: VALUE", h)
		}
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	host := u.Host
	if h := header.Get("Host"); h != "" {
		host = h
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	var query *string
	if u.RawQuery != "" || u.ForceQuery {
		query = &u.RawQuery
	}
	return function.Event{
		Version: "1.0",
		Context: function.Context{
			DistributionDomainName: "d111111abcdef8.cloudfront.net", DistributionID: "EDFDVBD6EXAMPLE",
			EventType: function.ViewerRequest, RequestID: "EXAMPLEntjQpEXAMPLE_SG5Z-EXAMPLEPmPfEXAMPLEu3EqEXAMPLE==",
		},
		Viewer:  function.Viewer{IP: net.IPv4(198, 51, 100, 11).String()},
		Request: function.RequestOf(strings.ToUpper(c.Method), host, path, query, header),
	}, nil
}

// readNamed reads a file, or standard input for -.
func readNamed(t terminal, name string) ([]byte, error) {
	const limit = 1 << 20 // both code and events may have much less; that is said by what reads them
	if name == "-" {
		return io.ReadAll(io.LimitReader(t.in, limit))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

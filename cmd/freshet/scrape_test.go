package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// scrape [-token|-no-token] fetches the metrics as Prometheus would: from their
// own address, or from that of the API with the token of the data directory or
// without it. The status and the metrics become the standard output.
func scrape(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: scrape [-token|-no-token]")
	}
	var running struct{ API, Metrics, Token string }
	text, err := os.ReadFile(ts.MkAbs(".freshet/running.json"))
	ts.Check(err)
	ts.Check(json.Unmarshal(text, &running))
	url := running.Metrics
	if len(args) > 0 {
		url = running.API + "/metrics"
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	ts.Check(err)
	if len(args) > 0 && args[0] == "-token" {
		req.Header.Set("Authorization", "Bearer "+running.Token)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	ts.Check(err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	_, err = fmt.Fprintf(ts.Stdout(), "%s\n%s", resp.Status, body)
	ts.Check(err)
}

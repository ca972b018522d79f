package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/metrics"
)

// Client asks a running freshet.
type Client struct {
	URL   string // of the CloudFront API's address
	Token string
}

// maxLine is the longest record, in bytes.
const maxLine = 8 << 20

// Read calls each for every record of the journal, oldest first, and with
// follow also for those that come, until ctx is done.
func (c Client) Read(ctx context.Context, follow bool, each func(journal.Record) error) error {
	path := "log"
	if follow {
		path += "?follow=1"
	}
	return lines(ctx, c, path, "read the log", each)
}

// Objects calls each for every object that was verified and is there.
func (c Client) Objects(ctx context.Context, each func(Object) error) error {
	return lines(ctx, c, "objects", "read the inventory", each)
}

// Top calls each with a snapshot every second, until ctx is done or each fails.
func (c Client) Top(ctx context.Context, each func(metrics.Snapshot) error) error {
	return lines(ctx, c, "top", "watch the running freshet", each)
}

// lines calls each for every line of an answer.
func lines[T any](ctx context.Context, c Client, path, doing string, each func(T) error) error {
	body, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			return nil
		}
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		if err := each(v); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: the running freshet ended before it was through", doing)
}

// Retry has dead letters tried again, and returns how many changes they hold.
func (c Client) Retry(ctx context.Context, s Selection) (int, error) {
	payload, err := json.Marshal(s)
	if err != nil {
		return 0, fmt.Errorf("retry: %w", err)
	}
	body, err := c.do(ctx, http.MethodPost, "retry", payload)
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }()
	var answer Retried
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return 0, fmt.Errorf("retry: %w", err)
	}
	return answer.Changes, nil
}

// Explain says what the running edge does with a request, and what it has stored
// for it.
func (c Client) Explain(ctx context.Context, q edge.Question) (Explained, error) {
	payload, err := json.Marshal(q)
	if err != nil {
		return Explained{}, fmt.Errorf("explain a request: %w", err)
	}
	body, err := c.do(ctx, http.MethodPost, "explain", payload)
	if err != nil {
		return Explained{}, err
	}
	defer func() { _ = body.Close() }()
	var answer Explained
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return Explained{}, fmt.Errorf("explain a request: %w", err)
	}
	return answer, nil
}

// Chaos returns what goes wrong on purpose.
func (c Client) Chaos(ctx context.Context) (Chaos, error) {
	return c.chaos(ctx, http.MethodGet, nil)
}

// SetChaos replaces what goes wrong on purpose. An empty spec ends it.
func (c Client) SetChaos(ctx context.Context, spec string) (Chaos, error) {
	payload, err := json.Marshal(Chaos{Spec: spec})
	if err != nil {
		return Chaos{}, fmt.Errorf("set the chaos: %w", err)
	}
	return c.chaos(ctx, http.MethodPut, payload)
}

func (c Client) chaos(ctx context.Context, method string, payload []byte) (now Chaos, err error) {
	body, err := c.do(ctx, method, "chaos", payload)
	if err != nil {
		return Chaos{}, err
	}
	defer func() { _ = body.Close() }()
	if err := json.NewDecoder(body).Decode(&now); err != nil {
		return Chaos{}, fmt.Errorf("read the chaos: %w", err)
	}
	return now, nil
}

func (c Client) do(ctx context.Context, method, path string, payload []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+Prefix+path, bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("ask the running freshet: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running freshet: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var p problem
	if json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&p) != nil || p.Error == "" {
		p.Error = "it answered " + resp.Status
	}
	return nil, fmt.Errorf("ask the running freshet: %s", p.Error)
}

package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/function"
)

// test runs a function of the API with an event.
func (s *scripts) test(ctx context.Context, t api.FunctionTest) (api.FunctionOutcome, error) {
	event, err := function.ParseEvent(t.Event)
	if err != nil {
		return api.FunctionOutcome{}, fmt.Errorf("%w: %w", api.ErrEvent, err)
	}
	program, err := function.Compile(t.Name, t.Code, function.Runtime(t.Runtime))
	if err != nil {
		return api.FunctionOutcome{Error: err.Error()}, nil
	}
	result, err := program.Run(ctx, event, function.Options{
		KVS: s.storeOf(t.LiveFunction), Edge: function.Edge{Name: "LCL50", ServerIP: "127.0.0.1", Region: "local"},
	})
	outcome := api.FunctionOutcome{Utilization: result.Utilization, Logs: result.Logs}
	if err != nil {
		outcome.Error = err.Error()
	}
	output, err := result.Output()
	if err != nil && outcome.Error == "" {
		outcome.Error = err.Error()
	}
	outcome.Output = string(output)
	return outcome, nil
}

// maxImport is the largest object that a key value store is filled from.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/kvs-with-functions-create-s3-kvp.html
const maxImport = 5 << 20

// importPairs reads an object of our bucket, which is all that can be reached.
func (u *Up) importPairs(ctx context.Context, source string) (map[string]string, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(source, "arn:aws:s3:::"), "/")
	if !strings.HasPrefix(source, "arn:aws:s3:::") || bucket != u.cfg.Bucket || key == "" {
		return nil, fmt.Errorf("%w: %s names no object of the bucket %s", api.ErrImport, source, u.cfg.Bucket)
	}
	origin, err := u.bucketOrigin()
	if err != nil {
		return nil, err
	}
	// A + is a space in the paths of the bucket.
	path := strings.ReplaceAll((&url.URL{Path: "/" + key}).EscapedPath(), "+", "%2B")
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, origin.URL+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", api.ErrImport, err)
	}
	resp, err := origin.Transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", source, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: the bucket answers %s for %s", api.ErrImport, resp.Status, source)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxImport+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", source, err)
	}
	table, err := function.ParseStore(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", api.ErrImport, err)
	}
	return table.Pairs, nil
}

package benchedge

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// endpoints are where our own program says that it can be reached.
type endpoints struct {
	API       string `json:"api"`
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	Metrics   string `json:"metrics"`
	Pprof     string `json:"pprof"`
}

func (p *process) endpoints() (e endpoints, err error) {
	for end := time.Now().Add(patience); p.out.String() == "" && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if err := json.Unmarshal([]byte(p.out.String()), &e); err != nil {
		return e, fmt.Errorf("read where our own program listens: %w", err)
	}
	return e, nil
}

// held is what objects take by the server's own account, in bytes.
func (p *process) held(ctx context.Context) (int64, error) {
	switch p.name {
	case "nginx":
		return p.files(), nil
	case "Varnish":
		return p.varnishHolds(ctx)
	case ourName:
		return p.weHold(ctx)
	}
	return 0, fmt.Errorf("nobody knows what %s holds", p.name)
}

func (p *process) varnishHolds(ctx context.Context) (int64, error) {
	said, err := exec.CommandContext(ctx, "varnishstat", "-n", filepath.Join(p.dir, "run"), "-1", "-f", "SMA.s0.g_bytes").Output()
	if err != nil {
		return 0, fmt.Errorf("ask Varnish what it holds: %w", err)
	}
	fields := strings.Fields(string(said))
	if len(fields) < 2 {
		return 0, fmt.Errorf("varnishstat says %q", said)
	}
	return strconv.ParseInt(fields[1], 10, 64)
}

func (p *process) weHold(ctx context.Context) (int64, error) {
	e, err := p.endpoints()
	if err != nil {
		return 0, err
	}
	resp, err := send(ctx, http.MethodGet, e.Metrics)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "freshet_edge_stored_bytes "); ok {
			bytes, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, fmt.Errorf("read the metrics: %w", err)
			}
			return int64(bytes), nil
		}
	}
	return 0, errors.New("the metrics do not say what the edge holds")
}

func send(ctx context.Context, method, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s %s is answered with %s", method, url, resp.Status)
	}
	return resp, nil
}

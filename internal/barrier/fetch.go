package barrier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/freshet/freshet/internal/whither"
)

const (
	bodyUpTo     = 1 << 20 // bytes of a body that a pattern is held against
	mostInHost   = 5       // redirects that are followed
	dialWithin   = 5 * time.Second
	shownOfValue = 200 // bytes of what was seen that are shown
)

// errLinkLocal is refused at the connection, whatever name led there: such
// addresses give machines in a cloud their credentials.
var errLinkLocal = errors.New("a link-local or metadata address, from which nothing is fetched")

func isLinkLocal(a netip.Addr) bool { return whither.Of(a) == whither.Never }

// Transport fetches anew each time, over a connection of its own, so that each
// look may meet another of the machines behind a name. It connects to no
// link-local address.
func Transport() *http.Transport {
	d := &net.Dialer{Timeout: dialWithin, Control: func(_, address string, _ syscall.RawConn) error {
		if at, err := netip.ParseAddrPort(address); err == nil && isLinkLocal(at.Addr()) {
			return errLinkLocal
		}
		return nil
	}}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: d.DialContext, DisableKeepAlives: true, DisableCompression: true,
		TLSHandshakeTimeout: dialWithin, ResponseHeaderTimeout: lookWithin, MaxResponseHeaderBytes: 1 << 18, ForceAttemptHTTP2: true,
	}
}

// sameSite reports whether a redirect stays with the server that was named. From
// http to https on the usual ports it does.
func sameSite(from, to *url.URL) bool {
	if to.Scheme != "http" && to.Scheme != "https" || !strings.EqualFold(from.Hostname(), to.Hostname()) {
		return false
	}
	return from.Port() == to.Port() || from.Scheme == "http" && to.Scheme == "https" && from.Port() == "" && to.Port() == ""
}

// follow goes along with redirects that stay at the server named first. Others
// are what is seen.
func follow(req *http.Request, via []*http.Request) error {
	if len(via) > mostInHost || !sameSite(via[0].URL, req.URL) {
		return http.ErrUseLastResponse
	}
	return nil
}

func (w *Waiter) fetched(ctx context.Context, f Fact) (Sight, error) {
	if place, ok := strings.CutPrefix(f.URL, s3Scheme); ok {
		bucket, key, _ := strings.Cut(place, "/")
		return w.object(ctx, f, bucket, key)
	}
	resp, err := w.get(ctx, f)
	if err != nil {
		return Sight{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if s := f.answered(resp); !s.Holds {
		return s, nil
	}
	switch {
	case f.Kind == Origin:
		return f.tagged(resp.Header.Get("ETag")), nil
	case f.Pattern == "":
		return Sight{true, resp.Status}, nil
	case f.Header != "":
		return f.matched(strings.Join(resp.Header.Values(f.Header), ", "), f.Header)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyUpTo))
	if err != nil {
		return Sight{}, fmt.Errorf("read the body: %w", err)
	}
	return f.matched(string(body), "body")
}

func (w *Waiter) get(ctx context.Context, f Fact) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, http.NoBody)
	if err != nil {
		return nil, &never{why: err.Error()}
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "freshet-wait")
	client := http.Client{Transport: w.HTTP, CheckRedirect: follow}
	if w.HTTP == nil {
		client.Transport = Transport()
	}
	if f.Status >= 300 && f.Status < 400 {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	resp, err := client.Do(req)
	if err != nil && errors.Is(err, errLinkLocal) {
		return nil, &never{why: req.URL.Hostname() + " is " + errLinkLocal.Error()}
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the URL is in the fact
	}
	return resp, err
}

// answered holds the status against what the fact says of it.
func (f Fact) answered(resp *http.Response) Sight {
	if f.Status == resp.StatusCode || f.Status == 0 && resp.StatusCode/100 == 2 {
		return Sight{Holds: true}
	}
	saw := resp.Status
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 {
		saw += " to " + to
		if f.Status == 0 {
			saw += ", which is not followed: it leads away from the server that was named, or on and on"
		}
	}
	return Sight{Saw: saw}
}

func (f Fact) matched(value, what string) (Sight, error) {
	re, err := regexp.Compile(f.Pattern)
	if err != nil {
		return Sight{}, &never{why: err.Error()}
	}
	return Sight{re.MatchString(value), what + " " + shown(value)}, nil
}

// shown is the beginning of what was seen, on one line.
func shown(text string) string {
	if len(text) > shownOfValue {
		text = strings.ToValidUTF8(text[:shownOfValue], "") + "…"
	}
	return fmt.Sprintf("%q", strings.TrimSpace(text))
}

package alarm

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Webhook posts notices as JSON.
type Webhook struct {
	URL    string
	Secret string // signs what is sent; empty for none
	Client *http.Client
}

// NewWebhook returns a sender that follows no redirects, since the signature is
// for one address.
func NewWebhook(url, secret string) *Webhook {
	return &Webhook{URL: url, Secret: secret, Client: &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// The headers of a signed notice. The signature is sha256= and the HMAC-SHA256,
// in hexadecimal, of the time, a full stop, and the body.
const (
	TimeHeader      = "X-Freshet-Timestamp" // Unix seconds
	SignatureHeader = "X-Freshet-Signature"
)

// Sign returns the signature of a body that is sent at a time.
func Sign(secret string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "%d.", at.Unix())
	_, _ = mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Send implements Sender.
func (w *Webhook) Send(ctx context.Context, n Notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("write the alarm: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("post the alarm: %w", w.without(err))
	}
	now := time.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "freshet-alarm")
	req.Header.Set(TimeHeader, strconv.FormatInt(now.Unix(), 10))
	if w.Secret != "" {
		req.Header.Set(SignatureHeader, Sign(w.Secret, now, body))
	}
	resp, err := w.Client.Do(req)
	if err != nil {
		return fmt.Errorf("post the alarm: %w", w.without(err))
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16)
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode/100 == 5, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout:
		return fmt.Errorf("post the alarm to %s: it answered %s", req.URL.Host, resp.Status)
	}
	return fmt.Errorf("post the alarm to %s: it answered %s: %w", req.URL.Host, resp.Status, ErrRefused)
}

// without leaves the URL out of an error, since its path may be a secret.
func (w *Webhook) without(err error) error {
	if failed, ok := err.(*url.Error); ok { //nolint:errorlint // what http.Client returns is this itself
		return failed.Err
	}
	return err
}

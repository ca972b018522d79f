// Package webhook reads what GitHub and GitLab send when a branch was pushed to,
// once it is certain that they sent it. What is in it beside the branch is not
// believed: lists of commits are cut short there, and deliveries get lost and
// come twice and out of order.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/source/gitdiff"
)

// MaxBytes is the longest delivery that is read: GitHub sends at most 25 MB.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
const MaxBytes = 32 << 20

// Sender is who sends.
type Sender string

// The senders.
const (
	GitHub Sender = "github"
	GitLab Sender = "gitlab"
)

// Secret is what a delivery is signed with. It shows as *** wherever it is
// printed.
type Secret string

const hidden = "***"

// Format writes *** for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText writes ***, so that no configuration or log holds the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Delivery is one request.
type Delivery struct {
	Header func(name string) string // the first value of a header; empty where there is none
	Body   []byte
}

// ErrSignature is in the error about a delivery that was not signed with the
// secret.
var ErrSignature = errors.New("the delivery is not signed with the secret")

// tolerance is how far the clock of a sender may be off that signs the time: it
// is also for how long a delivery could be played again.
const tolerance = 5 * time.Minute

// Verify reports whether the sender, who shares the secret, has sent a delivery.
// It takes the same time whatever is wrong with the signature, and looks at
// nothing else of the delivery. now is for senders who sign the time.
func Verify(from Sender, s Secret, d Delivery, now time.Time) error {
	if s == "" {
		return errors.New("there is no secret to verify deliveries with")
	}
	switch {
	case from == GitHub:
		return fromGitHub(s, d)
	case from == GitLab && d.Header("webhook-signature") != "":
		return signedByGitLab(s, d, now)
	case from == GitLab && !strings.HasPrefix(string(s), signingKey):
		return same([]byte(d.Header("X-Gitlab-Token")), []byte(s))
	}
	return ErrSignature
}

// same compares without telling by the time it takes where they differ.
func same(got, want []byte) error {
	a, b := sha256.Sum256(got), sha256.Sum256(want)
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return ErrSignature
	}
	return nil
}

// fromGitHub checks the signature of the body.
// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
func fromGitHub(s Secret, d Delivery) error {
	text, ok := strings.CutPrefix(d.Header("X-Hub-Signature-256"), "sha256=")
	sum, err := hex.DecodeString(text)
	if !ok || err != nil {
		return ErrSignature
	}
	h := hmac.New(sha256.New, []byte(s))
	_, _ = h.Write(d.Body)
	return same(sum, h.Sum(nil))
}

// signingKey begins a secret of GitLab's that signs, and is not sent itself.
const signingKey = "whsec_"

// signedByGitLab checks the signature of the ID, the time and the body, as
// GitLab makes it for hooks that have a signing token: that of Standard Webhooks.
// https://docs.gitlab.com/user/project/integrations/webhooks/
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
func signedByGitLab(s Secret, d Delivery, now time.Time) error {
	key := []byte(s)
	if encoded, ok := strings.CutPrefix(string(s), signingKey); ok {
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return fmt.Errorf("the secret begins with %s, but no base64 follows", signingKey)
		}
		key = decoded
	}
	id, at := d.Header("webhook-id"), d.Header("webhook-timestamp")
	h := hmac.New(sha256.New, key)
	for _, part := range [][]byte{[]byte(id), {'.'}, []byte(at), {'.'}, d.Body} {
		_, _ = h.Write(part)
	}
	want := h.Sum(nil)
	verdict := ErrSignature
	for signature := range strings.FieldsSeq(d.Header("webhook-signature")) {
		version, text, _ := strings.Cut(signature, ",")
		if sum, err := base64.StdEncoding.DecodeString(text); version == "v1" && err == nil && same(sum, want) == nil {
			verdict = nil
		}
	}
	if verdict != nil {
		return verdict
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return ErrSignature
	}
	if off := now.Sub(time.Unix(seconds, 0)).Abs(); off > tolerance {
		return fmt.Errorf("the delivery was signed %v from now, at most %v is borne", off.Round(time.Second), tolerance)
	}
	return nil
}

// Push says that a branch is somewhere else than before.
type Push struct {
	Delivery   string // its ID, which it has when it is sent again as well
	Repository string // such as octocat/pages
	Branch     string // without refs/heads/
	Before     string // commit; empty: the branch is new
	After      string // commit; empty: it was deleted
}

// Parse reads a delivery that was verified. ok is false for what is not about a
// branch, such as a ping or a tag; then what it is stands in what.
func Parse(from Sender, d Delivery) (p Push, what string, ok bool, err error) {
	event, id := "X-GitHub-Event", "X-GitHub-Delivery"
	if from == GitLab {
		event, id = "X-Gitlab-Event", "X-Gitlab-Event-UUID"
		if d.Header("Idempotency-Key") != "" {
			id = "Idempotency-Key" // which a delivery keeps that is sent again
		}
	}
	what = d.Header(event)
	if what != "push" && what != "Push Hook" {
		return Push{}, what, false, nil
	}
	var body struct {
		Ref        string `json:"ref"`
		Before     string `json:"before"`
		After      string `json:"after"`
		Repository struct {
			FullName string `json:"full_name"`
		} `json:"repository"`
		Project struct {
			Path string `json:"path_with_namespace"`
		} `json:"project"`
	}
	if strings.HasPrefix(d.Header("Content-Type"), "application/x-www-form-urlencoded") {
		return Push{}, what, false, errors.New("read the push: it is a form; choose the content type application/json for the webhook")
	}
	if err := json.Unmarshal(d.Body, &body); err != nil {
		return Push{}, what, false, fmt.Errorf("read the push: it is not JSON: %w", err)
	}
	p = Push{Delivery: d.Header(id), Repository: body.Repository.FullName + body.Project.Path}
	for _, end := range []struct {
		name, text string
		into       *string
	}{{"before", body.Before, &p.Before}, {"after", body.After, &p.After}} {
		if !gitdiff.IsID(end.text) {
			return Push{}, what, false, fmt.Errorf("read the push: %s is no commit ID", end.name)
		}
		if !gitdiff.IsZero(end.text) {
			*end.into = end.text
		}
	}
	branch, ok := strings.CutPrefix(body.Ref, "refs/heads/")
	if !ok || branch == "" {
		return Push{}, what + " of " + clip(body.Ref), false, nil
	}
	p.Branch = branch
	return p, what, true, nil
}

// clip keeps a message readable when the input is not.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

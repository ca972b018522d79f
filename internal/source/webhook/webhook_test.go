package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/source/webhook"
)

var (
	now    = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	one    = strings.Repeat("1", 40)
	two    = strings.Repeat("2", 40)
	zeros  = strings.Repeat("0", 40)
	secret = webhook.Secret("It's a Secret to Everybody")
)

func delivery(body string, headers ...string) webhook.Delivery {
	byName := make(map[string]string)
	for i := 0; i < len(headers); i += 2 {
		byName[strings.ToLower(headers[i])] = headers[i+1]
	}
	return webhook.Delivery{Body: []byte(body), Header: func(name string) string { return byName[strings.ToLower(name)] }}
}

func mac(key, text string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return h.Sum(nil)
}

// The example is GitHub's own, of its page on validating deliveries.
func TestVerifyGitHub(t *testing.T) {
	const good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	if err := webhook.Verify(webhook.GitHub, secret, delivery("Hello, World!", "X-Hub-Signature-256", good), now); err != nil {
		t.Error(err)
	}
	for name, d := range map[string]webhook.Delivery{
		"another body":      delivery("Hello, World", "X-Hub-Signature-256", good),
		"no signature":      delivery("Hello, World!"),
		"another signature": delivery("Hello, World!", "X-Hub-Signature-256", strings.Replace(good, "757", "657", 1)),
		"a short one":       delivery("Hello, World!", "X-Hub-Signature-256", good[:20]),
		"without its name":  delivery("Hello, World!", "X-Hub-Signature-256", good[7:]),
		"SHA-1":             delivery("Hello, World!", "X-Hub-Signature", "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"),
		"GitLab's token":    delivery("Hello, World!", "X-Gitlab-Token", string([]byte(secret))),
	} {
		if err := webhook.Verify(webhook.GitHub, secret, d, now); !errors.Is(err, webhook.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := webhook.Verify(webhook.GitHub, "", delivery("", "X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac("", ""))), now); err == nil {
		t.Error("no secret is a secret")
	}
}

func TestVerifyGitLab(t *testing.T) {
	token := func(text string) webhook.Delivery { return delivery("{}", "X-Gitlab-Token", text) }
	if err := webhook.Verify(webhook.GitLab, "s3cret", token("s3cret"), now); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"", "s3cre", "s3cret ", "S3cret", "***"} {
		if err := webhook.Verify(webhook.GitLab, "s3cret", token(wrong), now); !errors.Is(err, webhook.ErrSignature) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	key := webhook.Secret("whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")))
	signed := func(at time.Time, body string) webhook.Delivery {
		stamp := fmt.Sprint(at.Unix())
		sum := base64.StdEncoding.EncodeToString(mac("0123456789abcdef0123456789abcdef", "id-1."+stamp+"."+body))
		return delivery("{}", "webhook-id", "id-1", "webhook-timestamp", stamp, "webhook-signature", "v1,b2xk v1,"+sum)
	}
	if err := webhook.Verify(webhook.GitLab, key, signed(now.Add(-time.Minute), "{}"), now); err != nil {
		t.Error(err)
	}
	if err := webhook.Verify(webhook.GitLab, key, signed(now, "other"), now); !errors.Is(err, webhook.ErrSignature) {
		t.Errorf("another body: %v", err)
	}
	for _, off := range []time.Duration{-6 * time.Minute, 6 * time.Minute} {
		if err := webhook.Verify(webhook.GitLab, key, signed(now.Add(off), "{}"), now); err == nil || !strings.Contains(err.Error(), "6m0s") {
			t.Errorf("played again %v later: %v", off, err)
		}
	}
	// A signing token is never sent, so that nobody can pass by sending it.
	if err := webhook.Verify(webhook.GitLab, key, token("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="), now); !errors.Is(err, webhook.ErrSignature) {
		t.Errorf("the token itself: %v", err)
	}
	if err := webhook.Verify("gitea", "s3cret", token("s3cret"), now); err == nil {
		t.Error("an unknown sender is believed")
	}
}

func TestParse(t *testing.T) {
	body := func(ref, before, after string) string {
		return `{"ref":"` + ref + `","before":"` + before + `","after":"` + after + `","repository":{"full_name":"octocat/pages"},"commits":[{"added":["not believed"]}],"size":2000}`
	}
	for name, tt := range map[string]struct {
		from webhook.Sender
		d    webhook.Delivery
		want webhook.Push
		what string
		ok   bool
	}{
		"a push":   {webhook.GitHub, delivery(body("refs/heads/feature/x", one, two), "X-GitHub-Event", "push", "X-GitHub-Delivery", "72d3162e"), webhook.Push{"72d3162e", "octocat/pages", "feature/x", one, two}, "push", true},
		"a branch": {webhook.GitHub, delivery(body("refs/heads/main", zeros, two), "X-GitHub-Event", "push"), webhook.Push{"", "octocat/pages", "main", "", two}, "push", true},
		"its end":  {webhook.GitHub, delivery(body("refs/heads/main", one, zeros), "X-GitHub-Event", "push"), webhook.Push{"", "octocat/pages", "main", one, ""}, "push", true},
		"a tag":    {webhook.GitHub, delivery(body("refs/tags/v1", zeros, two), "X-GitHub-Event", "push"), webhook.Push{}, "push of refs/tags/v1", false},
		"a ping":   {webhook.GitHub, delivery(`{"zen":"Design for failure."}`, "X-GitHub-Event", "ping"), webhook.Push{}, "ping", false},
		"GitLab's": {webhook.GitLab, delivery(`{"ref":"refs/heads/main","before":"`+one+`","after":"`+two+`","project":{"path_with_namespace":"group/pages"}}`, "X-Gitlab-Event", "Push Hook", "X-Gitlab-Event-UUID", "u", "Idempotency-Key", "k"), webhook.Push{"k", "group/pages", "main", one, two}, "Push Hook", true},
		"its tag":  {webhook.GitLab, delivery(`{}`, "X-Gitlab-Event", "Tag Push Hook"), webhook.Push{}, "Tag Push Hook", false},
	} {
		got, what, ok, err := webhook.Parse(tt.from, tt.d)
		if err != nil || got != tt.want || what != tt.what || ok != tt.ok {
			t.Errorf("%s: %+v, %q, %v, %v", name, got, what, ok, err)
		}
	}
	for name, d := range map[string]webhook.Delivery{
		"a form":      delivery("payload=%7B%7D", "X-GitHub-Event", "push", "Content-Type", "application/x-www-form-urlencoded"),
		"no JSON":     delivery("{", "X-GitHub-Event", "push"),
		"no IDs":      delivery(`{"ref":"refs/heads/main"}`, "X-GitHub-Event", "push"),
		"a name":      delivery(body("refs/heads/main", one, "--upload-pack=x"), "X-GitHub-Event", "push"),
		"other types": delivery(`{"ref":1,"before":[],"after":{}}`, "X-GitHub-Event", "push"),
	} {
		if got, _, ok, err := webhook.Parse(webhook.GitHub, d); err == nil {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

func TestSecretIsHidden(t *testing.T) {
	holder := struct{ S webhook.Secret }{secret}
	text, err := json.Marshal(holder)
	shown := string(text) + fmt.Sprintf("%v %+v %#v %s %q %x %d", holder, holder, holder, secret, secret, secret, secret)
	if err != nil || strings.Contains(shown, "Everybody") || strings.Contains(shown, hex.EncodeToString([]byte("Everybody"))) || !strings.Contains(shown, "***") {
		t.Errorf("%s, %v", shown, err)
	}
}

// Nothing that is sent makes Parse believe in something that is no commit.
func FuzzParse(f *testing.F) {
	f.Add(`{"ref":"refs/heads/main","before":"`+one+`","after":"`+two+`"}`, "push", true)
	f.Add(`{"ref":"refs/tags/x"}`, "Push Hook", false)
	f.Fuzz(func(t *testing.T, body, event string, hub bool) {
		from, name := webhook.GitLab, "X-Gitlab-Event"
		if hub {
			from, name = webhook.GitHub, "X-GitHub-Event"
		}
		p, _, ok, err := webhook.Parse(from, delivery(body, name, event))
		if err != nil || !ok {
			return
		}
		for _, id := range []string{p.Before, p.After} {
			if id != "" && (len(id) != 40 && len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "") {
				t.Errorf("%q is taken for a commit", id)
			}
		}
		if p.Branch == "" {
			t.Error("there is no branch")
		}
	})
}

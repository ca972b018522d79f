package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFreshWithin(t *testing.T) {
	for _, tt := range []struct {
		text     string
		any, one time.Duration
		zero     bool
	}{
		{"bucket: site\n", 0, 0, true},
		{"fresh_within: 10s\n", 10 * time.Second, 10 * time.Second, false},
		{"fresh_within: {default: 10s, E1: 1m}\n", 10 * time.Second, time.Minute, false},
		{"fresh_within:\n  E1: 1m\n", 0, time.Minute, false},
		{"fresh_within: {default: 10s, E1: 0s}\n", 10 * time.Second, 0, false},
	} {
		c, err := Parse([]byte(tt.text))
		if err != nil || c.FreshWithin.Of("") != tt.any || c.FreshWithin.Of("E9") != tt.any || c.FreshWithin.Of("E1") != tt.one || c.FreshWithin.IsZero() != tt.zero {
			t.Errorf("%q: %+v, %v", tt.text, c.FreshWithin, err)
		}
		text, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(text)
		if err != nil || !reflect.DeepEqual(again.FreshWithin, c.FreshWithin) {
			t.Errorf("%q: written as\n%s\nit is %+v, %v", tt.text, text, again.FreshWithin, err)
		}
		if strings.Contains(string(text), "fresh_within") == tt.zero {
			t.Errorf("%q is shown as\n%s", tt.text, text)
		}
		inJSON, err := json.Marshal(c)
		var of Config
		if err == nil {
			err = json.Unmarshal(inJSON, &of)
		}
		if err != nil || !reflect.DeepEqual(of.FreshWithin, c.FreshWithin) {
			t.Errorf("%q: in JSON %s it is %+v, %v", tt.text, inJSON, of.FreshWithin, err)
		}
	}
	for text, want := range map[string]string{
		"fresh_within: soon\n":       `[1:15] "soon" is no duration`,
		"fresh_within: {E1: soon}\n": `"soon" is no duration`,
		"fresh_within: [1s]\n":       "[1:15]",
		"fresh_within: -1s\n":        "fresh_within: must not be negative",
		"fresh_within: {E1: -1s}\n":  "fresh_within.E1: must not be negative",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestAlarm(t *testing.T) {
	for text, want := range map[string]string{
		"alarm: {webhook: here}\n":           "alarm.webhook: this is no URL",
		"alarm: {webhook: \"ftp://x/\"}\n":   "alarm.webhook: this is no URL",
		"alarm: {secret_file: x}\n":          "alarm.secret_file: there is no webhook",
		"alarm: {sns: alarms}\n":             "alarm.sns: \"alarms\" is no ARN",
		"alarm: {sns: \"arn:aws:s3:::x\"}\n": "is no ARN such as",
		"alarm: {mail: me@example.com}\n":    `unknown field "mail"`,
		"alarm: {webhook: \"https://x/T0K3N\", secret_file: k, sns: \"arn:aws:sns:eu-west-1:123456789012:alarms\"}\n": "",
	} {
		_, err := Parse([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestTheSecretIsInAFileBesideTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, File)
	for name, text := range map[string]string{file: "alarm: {webhook: \"https://x/\", secret_file: key}\n", filepath.Join(dir, "key"): "s3cret\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(file, true)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := c.Alarm.Secret(); err != nil || secret != "s3cret" {
		t.Errorf("%q, %v", secret, err)
	}
	for _, text := range []string{"", " \n"} {
		if err := os.WriteFile(filepath.Join(dir, "key"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Alarm.Secret(); err == nil || !strings.Contains(err.Error(), "is empty") {
			t.Errorf("an empty secret: %v", err)
		}
	}
	c.Alarm.SecretFile += "s"
	if _, err := c.Alarm.Secret(); err == nil {
		t.Error("a secret without a file")
	}
}

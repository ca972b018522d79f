package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// publicKey verifies what was signed with its other half.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_PublicKeyConfig.html
type publicKey struct {
	CallerReference string
	Name            string
	EncodedKey      string // PEM
	Comment         string
}

func (k publicKey) title() string { return k.Name }

func (k publicKey) elements() []element {
	return []element{text("CallerReference", k.CallerReference), text("Name", k.Name), text("EncodedKey", k.EncodedKey), text("Comment", k.Comment)}
}

func publicKeys() kind {
	return kind{
		name: publicKeyKind, word: "PublicKey", missing: "NoSuchPublicKey", most: maxPublicKeys, tooMany: "TooManyPublicKeys",
		newID: func() string { return newID("K") }, dated: "CreatedTime", page: pageWithout, put: "config",
		read: readPublicKey, load: decodeJSON[publicKey], judge: judgePublicKey,
		used: func(s *state, id string) bool {
			return slices.ContainsFunc(s.all(keyGroupKind), func(r *resource) bool { return slices.Contains(r.config.(keyGroup).Keys, id) })
		},
		summary: func(r *resource) []element {
			k := r.config.(publicKey)
			return []element{text("Id", r.key.id), text("Name", k.Name), text("CreatedTime", timestamp(r.created)), text("EncodedKey", k.EncodedKey), text("Comment", k.Comment)}
		},
	}
}

func readPublicKey(body []byte) (configured, error) {
	f, err := readFields(body, "PublicKeyConfig", "CallerReference", "Name", "EncodedKey")
	k := publicKey{CallerReference: f.text("CallerReference"), Name: f.text("Name"), EncodedKey: f.text("EncodedKey"), Comment: f.text("Comment")}
	return k, f.end(err)
}

// judgePublicKey takes one RSA key of 2,048 bits or ECDSA key on P-256, as
// CloudFront does.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-trusted-signers.html
func judgePublicKey(_ *state, was, config configured) error {
	k := config.(publicKey)
	if old, ok := was.(publicKey); ok && (old.EncodedKey != k.EncodedKey || old.CallerReference != k.CallerReference) {
		return refuse("CannotChangeImmutablePublicKeyFields", "You can't change the value of a public key.")
	}
	if k.Name == "" || k.CallerReference == "" {
		return refuse(InvalidArgument, "The parameters Name and CallerReference must not be empty")
	}
	if err := usable(k.EncodedKey); err != nil {
		return refuse(InvalidArgument, "Your request contains empty/invalid/out of limits RSA Encoded Key: %s", err)
	}
	return nil
}

// usable refuses everything else than one key that CloudFront takes.
func usable(text string) error {
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return errors.New("it is not PEM")
	case block.Type != "PUBLIC KEY":
		return fmt.Errorf("it is a %s, want a PUBLIC KEY", clip(block.Type))
	case strings.TrimSpace(string(rest)) != "":
		return errors.New("there is more behind it")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return err
	}
	switch key := parsed.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n != 2048 {
			return fmt.Errorf("it has %d bits, want 2048", n)
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return fmt.Errorf("it is on %s, want P-256", key.Curve.Params().Name)
		}
	default:
		return fmt.Errorf("it is a %T, want RSA or ECDSA", key)
	}
	return nil
}

// keyGroup names the public keys that are trusted together.
type keyGroup struct {
	Name    string
	Comment string
	Keys    []string // IDs
}

func (g keyGroup) title() string { return g.Name }

func (g keyGroup) elements() []element {
	return []element{text("Name", g.Name), {name: "Items", below: texts("PublicKey", g.Keys)}, text("Comment", g.Comment)}
}

func keyGroups() kind {
	uses := anyBehavior(func(b *distribution.CacheBehavior, id string) bool { return slices.Contains(b.TrustedKeyGroups, id) })
	return kind{
		name: keyGroupKind, word: "KeyGroup", missing: NoSuchResource, most: maxKeyGroups, tooMany: "TooManyKeyGroups",
		newID: newRequestID, dated: "LastModifiedTime", page: pageWithout,
		read: readKeyGroup, load: decodeJSON[keyGroup], judge: judgeKeyGroup,
		uses: uses, used: func(s *state, id string) bool { return s.usedBy(id, uses) },
	}
}

func readKeyGroup(body []byte) (configured, error) {
	f, err := readFields(body, "KeyGroupConfig", "Name", "Items")
	g := keyGroup{Name: f.text("Name"), Comment: f.text("Comment"), Keys: f.list("Items")}
	return g, f.end(err)
}

// maxGrouped is how many keys are in a group.
const maxGrouped = 5

func judgeKeyGroup(s *state, _, config configured) error {
	g := config.(keyGroup)
	switch {
	case g.Name == "" || len(g.Keys) == 0:
		return refuse(InvalidArgument, "The parameters Name and Items must not be empty")
	case len(g.Keys) > maxGrouped:
		return refuse("TooManyPublicKeysInKeyGroup", "The key group has %d public keys, at most %d are allowed", len(g.Keys), maxGrouped)
	}
	for i, id := range g.Keys {
		if slices.Contains(g.Keys[:i], id) {
			return refuse(InvalidArgument, "The parameter Items contains %q twice", clip(id))
		}
		if s.resources[resourceKey{publicKeyKind, id}] == nil {
			return refuse(InvalidArgument, "The public key does not exist: %q", clip(id))
		}
	}
	return nil
}

// grouped are the IDs of the keys in a group.
func (s *state) grouped(keyGroupID string) []string {
	r := s.resources[resourceKey{keyGroupKind, keyGroupID}]
	if r == nil {
		return nil
	}
	return r.config.(keyGroup).Keys
}

// activeSigners are the accounts that any behavior trusts. Their keys are those
// of an account's root user, of which none are known here.
func activeSigners(c *distribution.Config) element {
	var accounts []string
	for _, b := range behaviors(c) {
		accounts = append(accounts, b.TrustedSigners...)
	}
	slices.Sort(accounts)
	signers := each(slices.Compact(accounts), func(account string) element {
		return group("Signer", text("AwsAccountNumber", account), named("KeyPairIds", "KeyPairId", nil))
	})
	return group("ActiveTrustedSigners", append([]element{flag("Enabled", len(signers) > 0)}, items(signers)...)...)
}

// activeKeyGroups are the groups that any behavior trusts.
func (h *handler) activeKeyGroups(c *distribution.Config) element {
	s := h.Catalog.state.Load()
	var ids []string
	for _, b := range behaviors(c) {
		ids = append(ids, b.TrustedKeyGroups...)
	}
	slices.Sort(ids)
	groups := each(slices.Compact(ids), func(id string) element {
		return group("KeyGroup", text("KeyGroupId", id), named("KeyPairIds", "KeyPairId", s.grouped(id)))
	})
	return group("ActiveTrustedKeyGroups", append([]element{flag("Enabled", len(groups) > 0)}, items(groups)...)...)
}

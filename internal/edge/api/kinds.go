package api

import (
	"slices"

	"github.com/freshet/freshet/internal/distribution"
)

const (
	cachePolicyKind    kindName = "cache-policy"
	requestPolicyKind  kindName = "origin-request-policy"
	responsePolicyKind kindName = "response-headers-policy"
	keyGroupKind       kindName = "key-group"
	publicKeyKind      kindName = "public-key"
	accessControlKind  kindName = "origin-access-control"
	accessIdentityKind kindName = "origin-access-identity"
)

// kind is what the API does alike for everything that distributions use:
// create, get, update, delete and list.
type kind struct {
	name    kindName // as in paths
	path    []string // instead of the name, where there is more to it
	word    string   // CachePolicy: of the documents and of most errors
	missing string   // error: there is none of that ID
	most    int      // of one account
	tooMany string   // error: there are as many already
	newID   func() string
	read    func(body []byte) (configured, error)
	load    func(text []byte) (configured, error)

	// judge refuses what breaks a rule. was is nil for a new one.
	judge func(s *state, was, r configured) error

	// used says who uses the one of that ID: a distribution or another resource.
	used func(s *state, id string) bool

	uses    func(c *distribution.Config, id string) bool // nil: a distribution cannot
	managed func() []managedResource                     // nil: there are none of Amazon's own

	page    pageStyle
	summary func(r *resource) []element // of a list; nil: the whole document
	dated   string                      // element that holds a time, if one does
	put     string                      // behind the ID in the path of an update
	more    func(r *resource) element   // beside ID and configuration; nil: nothing

	// repeatable is a kind of which the same one can be created again: the answer
	// is the earlier one.
	repeatable bool
}

// managedResource is one that Amazon manages: it is there for everybody and can
// be neither changed nor deleted.
type managedResource struct {
	id     string
	config configured
}

// kinds are all of them.
func kinds() []kind {
	return []kind{cachePolicies(), requestPolicies(), responsePolicies(), keyGroups(), publicKeys(), accessControls(), accessIdentities()}
}

// segments begin the path of every operation on a kind.
func (k kind) segments() []string {
	if k.path != nil {
		return k.path
	}
	return []string{string(k.name)}
}

func kindCalled(name kindName) (kind, bool) {
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return all[i], true
}

// managedOf finds a managed resource.
func managedOf(name kindName, id string) (configured, bool) {
	k, _ := kindCalled(name)
	if k.managed == nil {
		return nil, false
	}
	for _, m := range k.managed() {
		if m.id == id {
			return m.config, true
		}
	}
	return nil, false
}

// uses reports whether a distribution uses a resource.
func uses(name kindName, c *distribution.Config, id string) bool {
	k, ok := kindCalled(name)
	return ok && k.uses != nil && k.uses(c, id)
}

// usedBy reports whether any distribution uses the resource.
func (s *state) usedBy(id string, uses func(*distribution.Config, string) bool) bool {
	return slices.ContainsFunc(s.distributions, func(d distribution.Distribution) bool { return uses(&d.Config, id) })
}

// anyBehavior turns a question to a behavior into one to a distribution.
func anyBehavior(uses func(b *distribution.CacheBehavior, id string) bool) func(*distribution.Config, string) bool {
	return func(c *distribution.Config, id string) bool {
		return slices.ContainsFunc(behaviors(c), func(b *distribution.CacheBehavior) bool { return uses(b, id) })
	}
}

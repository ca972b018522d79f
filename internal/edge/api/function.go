package api

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

const functionKind kindName = "function"

// MaxFunctionCode is the longest code of a function, in bytes.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
const MaxFunctionCode = 10 << 10

// The stages of a function: what is worked on, and what distributions run.
const (
	stageDevelopment = "DEVELOPMENT"
	stageLive        = "LIVE"
)

// functionCode is one stage of a function.
type functionCode struct {
	Comment  string
	Runtime  string
	Code     []byte
	Stores   []string  `json:",omitempty"` // ARNs of key value stores
	Revision int       // of the function that it stems from
	Created  time.Time // of the stage
	Modified time.Time
}

// functionConfig is a function's resource: its name is the ID.
type functionConfig struct {
	Development functionCode
	Live        *functionCode `json:",omitempty"` // nil before it was published
}

func (functionConfig) title() string       { return "" }
func (functionConfig) elements() []element { return nil }

// stage returns one of the stages; an empty name is DEVELOPMENT.
func (f functionConfig) stage(name string) (functionCode, error) {
	switch name {
	case "", stageDevelopment:
		return f.Development, nil
	case stageLive:
		if f.Live != nil {
			return *f.Live, nil
		}
		return functionCode{}, refuse("NoSuchFunctionExists", "The specified function does not exist at the stage LIVE.")
	}
	return functionCode{}, refuse(InvalidArgument, "The parameter Stage is not valid: %q", clip(name))
}

// etag names what is at a stage.
func (c functionCode) etag(name string) string {
	return "E" + shortHash(fmt.Sprintf("%s\x00%d\x00%s\x00%s\x00%s\x00%q", name, c.Revision, c.Comment, c.Runtime, c.Code, c.Stores))
}

var functionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// check refuses what CloudFront does. Whether the code compiles is found out by
// TestFunction, as at CloudFront.
func (c functionCode) check() error {
	switch {
	case !oneOf(c.Runtime, "cloudfront-js-1.0", "cloudfront-js-2.0"):
		return refuse(InvalidArgument, "The parameter Runtime is not valid: %q", clip(c.Runtime))
	case len(c.Code) == 0:
		return refuse(InvalidArgument, "The parameter FunctionCode must not be empty")
	case len(c.Code) > MaxFunctionCode:
		return refuse(FunctionSizeLimitExceeded, "The function code has %d bytes, at most %d are allowed", len(c.Code), MaxFunctionCode)
	case len(c.Stores) > 1:
		return refuse(InvalidArgument, "The function is associated with %d key value stores, at most 1 is allowed", len(c.Stores))
	case len(c.Stores) > 0 && c.Runtime == "cloudfront-js-1.0":
		return refuse(InvalidArgument, "Key value stores need the runtime cloudfront-js-2.0")
	}
	return nil
}

// LiveFunction is a function as distributions run it.
type LiveFunction struct {
	Name    string
	ARN     string
	Runtime string
	Code    []byte
	Stores  []string // ARNs of key value stores
}

// Function returns the published code of the function that an ARN names.
// Behaviors name functions by their ARNs.
func (c *Catalog) Function(arn string) (LiveFunction, bool) {
	name := functionOf(arn)
	r := c.state.Load().resources[resourceKey{functionKind, name}]
	if r == nil || c.functionARN(name) != arn {
		return LiveFunction{}, false
	}
	return c.live(r)
}

// live is what distributions run of r; ok is false where that is no function or
// it was not published.
func (c *Catalog) live(r *resource) (f LiveFunction, ok bool) {
	made, ok := r.config.(functionConfig)
	if !ok || made.Live == nil {
		return LiveFunction{}, false
	}
	return LiveFunction{
		Name: r.key.id, ARN: c.functionARN(r.key.id), Runtime: made.Live.Runtime, Code: slices.Clone(made.Live.Code), Stores: slices.Clone(made.Live.Stores),
	}, true
}

func (c *Catalog) functionARN(name string) string { return c.arn("function/" + name) }

// functionOf returns the name in a function's ARN.
func functionOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// runs reports whether a distribution uses the function.
func runs(c *distribution.Config, name string) bool {
	return slices.ContainsFunc(behaviors(c), func(b *distribution.CacheBehavior) bool {
		return slices.ContainsFunc(b.FunctionAssociations, func(a distribution.FunctionAssociation) bool { return functionOf(a.FunctionARN) == name })
	})
}

// functions refuses associations with what is not published or stands where it
// cannot. What the distribution ran before it may run on, since the functions of
// a configuration file are not here.
func (s *state) functions(before *distribution.Config, c *distribution.Config) error {
	for _, b := range behaviors(c) {
		if n := len(b.FunctionAssociations); n > 2 {
			return refuse("TooManyFunctionAssociations", "A cache behavior has %d function associations, at most 2 are allowed", n)
		}
		var events []string
		for _, l := range b.LambdaFunctionAssociations {
			events = append(events, l.EventType)
		}
		for _, a := range b.FunctionAssociations {
			name := functionOf(a.FunctionARN)
			if !oneOf(a.EventType, "viewer-request", "viewer-response") || slices.Contains(events, a.EventType) {
				return refuse("InvalidFunctionAssociation", "The event type %q is not valid or has two functions in one cache behavior", clip(a.EventType))
			}
			events = append(events, a.EventType)
			r := s.resources[resourceKey{functionKind, name}]
			published := r != nil && r.config.(functionConfig).Live != nil
			if !published && (before == nil || !runs(before, name)) {
				return refuse("InvalidFunctionAssociation", "The function %q does not exist or is not published to the stage LIVE", clip(a.FunctionARN))
			}
		}
	}
	return nil
}

// functionStatus is CloudFront's word for where a stage is.
func (s *state) functionStatus(r *resource, stage string) string {
	f := r.config.(functionConfig)
	switch {
	case f.Live == nil, stage != stageLive && f.Live.Revision != f.Development.Revision:
		return "UNPUBLISHED"
	case s.usedBy(r.key.id, runs):
		return "DEPLOYED"
	}
	return "UNASSOCIATED"
}

// functionSummary shows a stage that is there.
func (h *handler) functionSummary(s *state, r *resource, stage string) element {
	f := r.config.(functionConfig)
	code := f.Development
	if stage == stageLive {
		code = *f.Live
	} else {
		stage = stageDevelopment
	}
	config := group("FunctionConfig", text("Comment", code.Comment), text("Runtime", code.Runtime))
	if len(code.Stores) > 0 {
		config.below = append(config.below, list("KeyValueStoreAssociations", each(code.Stores, func(arn string) element {
			return group("KeyValueStoreAssociation", text("KeyValueStoreARN", arn))
		})))
	}
	return group("FunctionSummary",
		text("Name", r.key.id),
		text("Status", s.functionStatus(r, stage)),
		config,
		group("FunctionMetadata", text("FunctionARN", h.Catalog.functionARN(r.key.id)), text("Stage", stage),
			text("CreatedTime", timestamp(code.Created)), text("LastModifiedTime", timestamp(code.Modified))))
}

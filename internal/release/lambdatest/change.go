package lambdatest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

func (l *Lambda) updateCode(c call) (any, error) {
	f, now := c.f, time.Now()
	if err := c.settled("update"); err != nil {
		return nil, err
	}
	if current := f.configuration(f.latest)["RevisionId"]; c.body.RevisionId != "" && c.body.RevisionId != current {
		return nil, stale()
	}
	next := code{version: "$LATEST", sha: SHA256(c.body.ZipFile), revision: l.revise()}
	switch image := f.latest.image != ""; {
	case image != (c.body.ImageUri != "") || image == (len(c.body.ZipFile) > 0):
		return nil, refuse(http.StatusBadRequest, "InvalidParameterValueException", "Please provide what the function's package type wants.")
	case image:
		if next = l.imageCode(c.body.ImageUri); next.sha == "" {
			return nil, refuse(http.StatusBadRequest, "InvalidParameterValueException", "Source image %s does not exist. Provide a valid source image.", c.body.ImageUri)
		}
	}
	next.config, next.begun, next.script = f.config, now, l.script
	f.was = f.answering(now)
	f.latest = next
	l.calls = append(l.calls, "UpdateFunctionCode "+next.sha)
	return f.configuration(f.latest), nil
}

// settled refuses what cannot be done while an update is under way.
func (c call) settled(what string) error {
	if !c.f.latest.ready(time.Now()) {
		return refuse(http.StatusConflict, "ResourceConflictException", "The operation cannot be performed at this time (%s). An update is in progress for resource: %s%s", what, arn, c.f.name)
	}
	return nil
}

func stale() error {
	return refuse(http.StatusPreconditionFailed, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
}

func (l *Lambda) publishVersion(c call) (any, error) {
	f := c.f
	if err := c.settled("publish"); err != nil {
		return nil, err
	}
	switch current := f.configuration(f.latest); {
	case c.body.RevisionId != "" && c.body.RevisionId != current["RevisionId"]:
		return nil, stale()
	case c.body.CodeSha256 != "" && c.body.CodeSha256 != f.latest.sha:
		return nil, refuse(http.StatusBadRequest, "InvalidParameterValueException", "CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", c.body.CodeSha256, f.latest.sha)
	}
	had := len(f.versions)
	of := f.publish(l.revise())
	if len(f.versions) > had {
		l.calls = append(l.calls, "PublishVersion "+of.version)
	}
	return f.configuration(of), nil
}

func (c call) alias() (*alias, error) {
	if a := c.f.aliases[c.path[0]]; a != nil {
		return a, nil
	}
	return nil, refuse(http.StatusNotFound, "ResourceNotFoundException", "Cannot find alias arn: %s%s:%s", arn, c.f.name, c.path[0])
}

func (l *Lambda) getAlias(c call) (any, error) {
	a, err := c.alias()
	if err != nil {
		return nil, err
	}
	return a.shown(c.f), nil
}

func (a *alias) shown(f *function) map[string]any {
	m := map[string]any{"AliasArn": arn + f.name + ":" + a.name, "Name": a.name, "FunctionVersion": a.version, "RevisionId": a.revision}
	if len(a.weights) > 0 {
		m["RoutingConfig"] = map[string]any{"AdditionalVersionWeights": a.weights}
	}
	return m
}

// updateAlias leaves out of the alias what the call leaves out, weights too.
func (l *Lambda) updateAlias(c call) (any, error) {
	a, err := c.alias()
	switch {
	case err != nil:
		return nil, err
	case c.body.RevisionId != "" && c.body.RevisionId != a.revision:
		return nil, stale()
	}
	next := *a
	if c.body.FunctionVersion != nil {
		next.version = *c.body.FunctionVersion
	}
	if c.body.RoutingConfig != nil {
		next.weights = c.body.RoutingConfig.AdditionalVersionWeights
	}
	if err := next.check(c.f); err != nil {
		return nil, err
	}
	if next.version != a.version {
		to, _ := c.f.version(next.version)
		next.was, next.switched, next.lags, next.shared = a.version, time.Now(), to.script.Lags, to.script.Shared
	}
	next.revision = l.revise()
	*a = next
	l.calls = append(l.calls, fmt.Sprintf("UpdateAlias %s %s %v", a.name, a.version, a.weights))
	return a.shown(c.f), nil
}

func (a *alias) check(f *function) error {
	versions := []string{a.version}
	for v, weight := range a.weights {
		if versions = append(versions, v); weight < 0 || weight > 1 || v == a.version || len(a.weights) > 1 {
			return refuse(http.StatusBadRequest, "InvalidParameterValueException", "Invalid weights: %v", a.weights)
		}
	}
	if slices.ContainsFunc(versions, func(v string) bool { _, ok := f.version(v); return !ok }) {
		return refuse(http.StatusNotFound, "ResourceNotFoundException", "Function not found: %v", versions)
	}
	return nil
}

// ServeOrigin answers as the function does at its alias: which version and code
// answered is in the headers and in the body, which edges may keep for a day.
func (l *Lambda) ServeOrigin(name, aliasName string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sha, version := l.Answers(name, aliasName)
		w.Header().Set("Cache-Control", "public, max-age=86400")
		w.Header().Set("X-Version", version)
		w.Header().Set("X-Code-Sha256", sha)
		w.Header().Set("ETag", `"`+sha+r.URL.Path+`"`)
		_, _ = fmt.Fprintf(w, "code %s answers %s\n", sha, r.URL.Path) // a viewer who is gone needs no answer
	})
}

package cloudformation

import "strings"

// samMakes reports whether the Transform of a SAM template makes a resource of
// that name: an API that events imply, or what stands beside a resource of the
// template and begins with its logical ID.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources.html
func (r *resolver) samMakes(name string) bool { return r.sam && r.samSource(name) != "" }

// samImplied are the APIs that events imply.
var samImplied = []string{"ServerlessRestApi", "ServerlessHttpApi"}

// samSource returns the logical ID that the name begins with of what stands in
// the template, or of an API that is implied.
func (r *resolver) samSource(name string) string {
	best := ""
	for _, implied := range samImplied {
		if strings.HasPrefix(name, implied) {
			best = implied
		}
	}
	for id := range r.resources {
		if strings.HasPrefix(r.kind(id), "AWS::Serverless::") && strings.HasPrefix(name, id) && len(id) > len(best) {
			best = id
		}
	}
	return best
}

// samStage returns the name of the stage that a resource is which the Transform
// makes, or Ref's Api.Stage.
func (r *resolver) samStage(name string) (string, bool) {
	id := r.samSource(name)
	rest := strings.TrimPrefix(name, id)
	if !strings.HasSuffix(rest, "Stage") {
		return "", false
	}
	if own, ok := r.ownName(id, "StageName"); ok {
		return own, true
	}
	switch {
	case id == "ServerlessRestApi":
		return "Prod", true
	case id == "ServerlessHttpApi", r.kind(id) == "AWS::Serverless::HttpApi":
		return "$default", true
	}
	return "", false
}

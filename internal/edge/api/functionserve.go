package api

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// FunctionTest is a function to be run with an event.
type FunctionTest struct {
	LiveFunction
	Event []byte // JSON
}

// FunctionOutcome is what came of it.
type FunctionOutcome struct {
	Utilization int // percent of what a run may take
	Logs        []string
	Error       string // why there is no output
	Output      string // JSON
}

// ErrEvent is found by errors.Is in the error of HandlerConfig.TestFunction when
// the event is none.
var ErrEvent = errors.New("the event is not valid")

func functionOperations() []operation {
	one := []string{"function", "*"}
	return []operation{
		{name: "CreateFunction", method: http.MethodPost, path: []string{"function"}, serve: (*handler).createFunction},
		{name: "ListFunctions", method: http.MethodGet, path: []string{"function"}, serve: (*handler).listFunctions},
		{name: "GetFunction", method: http.MethodGet, path: one, serve: (*handler).getFunction},
		{name: "DescribeFunction", method: http.MethodGet, path: []string{"function", "*", "describe"}, serve: (*handler).describeFunction},
		{name: "UpdateFunction", method: http.MethodPut, path: one, serve: (*handler).updateFunction},
		{name: "DeleteFunction", method: http.MethodDelete, path: one, serve: (*handler).deleteFunction},
		{name: "PublishFunction", method: http.MethodPost, path: []string{"function", "*", "publish"}, serve: (*handler).publishFunction},
		{name: "TestFunction", method: http.MethodPost, path: []string{"function", "*", "test"}, serve: (*handler).testFunction},
	}
}

// functionRequest is the body of CreateFunction and UpdateFunction.
type functionRequest struct {
	name string // of CreateFunction
	tags []Tag  // likewise
	code functionCode
}

func readFunction(body []byte, root string) (r functionRequest, err error) {
	f, err := readFields(body, root, "FunctionConfig", "FunctionCode")
	r.name = f.text("Name")
	encoded, config, tags := f.text("FunctionCode"), f.group("FunctionConfig"), f.group("Tags")
	if err := f.end(err); err != nil {
		return functionRequest{}, err
	}
	if err := required(config.given, lower(root)+".functionConfig", "Comment", "Runtime"); err != nil {
		return functionRequest{}, err
	}
	r.code.Comment, r.code.Runtime = config.text("Comment"), config.text("Runtime")
	for _, store := range listed(config.group("KeyValueStoreAssociations").given) {
		arn, _ := store["KeyValueStoreARN"].(string)
		r.code.Stores = append(r.code.Stores, arn)
	}
	if err := config.end(nil); err != nil {
		return functionRequest{}, err
	}
	if r.tags, err = tagsOf(tags.given); err != nil {
		return functionRequest{}, err
	}
	if r.code.Code, err = decodeBase64(encoded); err != nil {
		return functionRequest{}, malformed(root, errors.New("FunctionCode is not base64"))
	}
	return r, r.code.check()
}

// decodeBase64 allows line breaks.
func decodeBase64(text string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
}

func (h *handler) createFunction(c call) (reply, error) {
	wanted, err := readFunction(c.body, "CreateFunctionRequest")
	if err != nil {
		return reply{}, err
	}
	name, code := wanted.name, wanted.code
	if !functionName.MatchString(name) {
		return reply{}, refuse(InvalidArgument, "The parameter Name is not valid: %q", clip(name))
	}
	made, err := h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		key := resourceKey{functionKind, name}
		switch {
		case s.resources[key] != nil:
			return nil, refuse("FunctionAlreadyExists", "A function with the same name already exists in this account: %q", name)
		case len(s.all(functionKind)) >= maxFunctions:
			return nil, refuse("TooManyFunctions", "Your request would cause you to exceed the maximum number of functions: %d", maxFunctions)
		}
		if err := s.associable(h.Catalog, name, code); err != nil {
			return nil, err
		}
		r := h.Catalog.fresh(key, nil, wanted.tags)
		code.Created, code.Modified = r.created, r.modified
		r.config = functionConfig{Development: code}
		return r, nil
	}, unjudged)
	if err != nil {
		return reply{}, err
	}
	return h.functionReply(made, stageDevelopment, http.StatusCreated, map[string]string{"Location": c.location("function/" + name)}), nil
}

func unjudged(*state, *resource) error { return nil }

func (h *handler) functionReply(r *resource, stage string, status int, header map[string]string) reply {
	code, _ := r.config.(functionConfig).stage(stage) // the caller has seen it
	if header == nil {
		header = make(map[string]string)
	}
	header["ETag"] = code.etag(r.key.id)
	summary := h.functionSummary(h.Catalog.state.Load(), r, stage)
	return reply{status: status, header: header, body: document(summary)}
}

func (h *handler) describeFunction(c call) (reply, error) {
	r, _, err := h.staged(c)
	if err != nil {
		return reply{}, err
	}
	return h.functionReply(r, c.URL.Query().Get("Stage"), http.StatusOK, nil), nil
}

// staged finds the function and the stage that a request is for.
func (h *handler) staged(c call) (*resource, functionCode, error) {
	r, err := h.Catalog.state.Load().get(resourceKey{functionKind, c.args[0]})
	if err != nil {
		return nil, functionCode{}, err
	}
	code, err := r.config.(functionConfig).stage(c.URL.Query().Get("Stage"))
	return r, code, err
}

func (h *handler) getFunction(c call) (reply, error) {
	r, code, err := h.staged(c)
	if err != nil {
		return reply{}, err
	}
	return reply{header: map[string]string{"ETag": code.etag(r.key.id), "Content-Type": "application/octet-stream"}, body: code.Code}, nil
}

// currentFunction finds the function if If-Match names what is at the stage.
func (s *state) currentFunction(c call, stage string) (*resource, functionConfig, error) {
	r, err := s.get(resourceKey{functionKind, c.args[0]})
	if err != nil {
		return nil, functionConfig{}, err
	}
	f := r.config.(functionConfig)
	code, err := f.stage(stage)
	if err == nil {
		err = matches(c, code.etag(r.key.id))
	}
	return r, f, err
}

func (h *handler) updateFunction(c call) (reply, error) {
	wanted, err := readFunction(c.body, "UpdateFunctionRequest")
	if err != nil {
		return reply{}, err
	}
	code := wanted.code
	made, err := h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		old, f, err := s.currentFunction(c, stageDevelopment)
		if err == nil {
			err = s.associable(h.Catalog, old.key.id, code)
		}
		if err != nil {
			return nil, err
		}
		r := h.Catalog.revised(old, nil)
		code.Created, code.Modified, code.Revision = f.Development.Created, r.modified, r.version
		f.Development = code
		r.config = f
		return r, nil
	}, unjudged)
	if err != nil {
		return reply{}, err
	}
	answer := h.functionReply(made, stageDevelopment, http.StatusOK, nil)
	answer.header["ETtag"] = answer.header["ETag"] // CloudFront's model, and so every SDK, spells it like that here
	return answer, nil
}

func (h *handler) publishFunction(c call) (reply, error) {
	made, err := h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		old, f, err := s.currentFunction(c, stageDevelopment)
		if err != nil {
			return nil, err
		}
		live := f.Development
		r := h.Catalog.revised(old, nil)
		live.Created, live.Modified = r.modified, r.modified
		if f.Live != nil {
			live.Created = f.Live.Created
		}
		f.Live = &live
		r.config = f
		return r, nil
	}, unjudged)
	if err != nil {
		return reply{}, err
	}
	return h.functionReply(made, stageLive, http.StatusOK, nil), nil
}

func (h *handler) deleteFunction(c call) (reply, error) {
	err := h.Catalog.remove(c.Context(), func(s *state) (*resource, error) {
		old, _, err := s.currentFunction(c, stageDevelopment)
		if err == nil && s.usedBy(old.key.id, runs) {
			return nil, refuse("FunctionInUse", "Cannot delete the function because it is attached to one or more cache behaviors: %s", old.key.id)
		}
		return old, err
	})
	return reply{status: http.StatusNoContent}, err
}

// listFunctions lists one stage, without a word DEVELOPMENT.
func (h *handler) listFunctions(c call) (reply, error) {
	stage := c.URL.Query().Get("Stage")
	if !oneOf(stage, "", stageDevelopment, stageLive) {
		return reply{}, refuse(InvalidArgument, "The parameter Stage is not valid: %q", clip(stage))
	}
	s := h.Catalog.state.Load()
	there := slices.DeleteFunc(s.all(functionKind), func(r *resource) bool {
		_, err := r.config.(functionConfig).stage(stage)
		return err != nil
	})
	below, err := h.paged(c, there, pageWithout, func(r *resource) (element, error) { return h.functionSummary(s, r, stage), nil })
	return reply{body: document{name: "FunctionList", below: below}}, err
}

func (h *handler) testFunction(c call) (reply, error) {
	if h.TestFunction == nil {
		return reply{}, refuse(UnsupportedOperation, "This edge cannot run functions")
	}
	f, err := readFields(c.body, "TestFunctionRequest", "EventObject")
	stage, encoded := f.text("Stage"), f.text("EventObject")
	if err := f.end(err); err != nil {
		return reply{}, err
	}
	event, err := decodeBase64(encoded)
	if err != nil {
		return reply{}, malformed("TestFunctionRequest", errors.New("EventObject is not base64"))
	}
	s := h.Catalog.state.Load()
	r, config, err := s.currentFunction(c, stage)
	if err != nil {
		return reply{}, err
	}
	code, err := config.stage(stage)
	if err != nil {
		return reply{}, err
	}
	outcome, err := h.TestFunction(c.Context(), FunctionTest{Event: event, LiveFunction: LiveFunction{
		Name: r.key.id, ARN: h.Catalog.functionARN(r.key.id), Runtime: code.Runtime, Code: slices.Clone(code.Code), Stores: slices.Clone(code.Stores)}})
	switch {
	case errors.Is(err, ErrEvent):
		return reply{}, refuse(InvalidArgument, "The parameter EventObject is not valid: %s", clipped(err.Error(), 400))
	case err != nil:
		return reply{}, testFailed(c.Context(), err)
	}
	return reply{body: document{name: "TestResult", below: []element{
		h.functionSummary(s, r, stage),
		text("ComputeUtilization", strconv.Itoa(outcome.Utilization)),
		{name: "FunctionExecutionLogs", below: texts("member", outcome.Logs)},
		text("FunctionErrorMessage", outcome.Error),
		text("FunctionOutput", outcome.Output),
	}}}, nil
}

func testFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	e := refuse(TestFunctionFailed, "The CloudFront function failed.")
	e.Err = err
	return e
}

package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/sigv4"
)

// The API of the pairs of key value stores is one of its own: JSON, under paths
// that begin with key-value-stores, signed with version 4A, and with ETags of its
// own.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_Operations_Amazon_CloudFront_KeyValueStore.html

const (
	pairsPrefix  = "key-value-stores"
	maxBatch     = 50      // pairs in one UpdateKeys
	maxBatchSize = 3 << 20 // bytes of its body
)

func pairOperations() []operation {
	all, one := []string{pairsPrefix, "*", "keys"}, []string{pairsPrefix, "*", "keys", "*"}
	return []operation{
		{name: "DescribeKeyValueStore", method: http.MethodGet, path: all[:2], serve: (*handler).describePairs},
		{name: "ListKeys", method: http.MethodGet, path: all, serve: (*handler).listKeys},
		{name: "UpdateKeys", method: http.MethodPost, path: all, serve: (*handler).updateKeys},
		{name: "GetKey", method: http.MethodGet, path: one, serve: (*handler).getKey},
		{name: "PutKey", method: http.MethodPut, path: one, serve: (*handler).putKey},
		{name: "DeleteKey", method: http.MethodDelete, path: one, serve: (*handler).deleteKey},
	}
}

// The codes of errors of this API, beside those of signatures.
const (
	resourceNotFound     = "ResourceNotFoundException"
	conflict             = "ConflictException"
	validation           = "ValidationException"
	serviceQuotaExceeded = "ServiceQuotaExceededException"
)

// answersPairs reports whether a request is for the pairs.
func answersPairs(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/"+pairsPrefix+"/") }

// servePairs answers one request.
func (h *handler) servePairs(w http.ResponseWriter, r *http.Request, requestID string) {
	answer, err := h.answerPairs(r)
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		err = write(w, answer)
	case errors.Is(err, errLost):
		panic(http.ErrAbortHandler)
	}
	if err == nil {
		return
	}
	e := pairError(err)
	if e.Status >= http.StatusInternalServerError {
		h.Logger.Error("answer a request for a key value store", "method", r.Method, "path", r.URL.Path, "request_id", requestID, "error", err)
	}
	text, _ := json.Marshal(map[string]string{"Message": e.Message}) // strings always do
	_ = write(w, reply{status: e.Status, body: text, header: map[string]string{"X-Amzn-Errortype": e.Code, "Content-Type": "application/json"}})
}

func (h *handler) answerPairs(r *http.Request) (reply, error) {
	body, err := h.pairVerifier.Verify(r)
	if err != nil {
		return reply{}, err
	}
	segments, ok := segmentsOf(r.URL)
	for _, op := range h.pairOperations {
		args, matches := op.match(segments)
		if !ok || !matches || op.method != r.Method {
			continue
		}
		return h.carryOut(op, call{Request: r, args: args, body: body})
	}
	return reply{}, &Error{Code: "UnknownOperationException", Status: http.StatusNotFound, Message: "There is no such operation"}
}

// pairError is an error as this API shows it.
func pairError(err error) *Error {
	e := *refusalFor(err)
	var unsigned *sigv4.Error
	switch {
	case errors.As(err, &unsigned):
	case e.Code == InvalidArgument:
		e.Code = validation
	case e.Code == entitySizeLimitExceeded:
		e.Code, e.Status = serviceQuotaExceeded, http.StatusPaymentRequired
	case e.Code == AccessDenied:
		e.Code = "AccessDeniedException"
	case e.Status >= http.StatusInternalServerError:
		e.Code, e.Status = "InternalServerException", http.StatusInternalServerError
	}
	return &e
}

func invalidPair(format string, args ...any) *Error {
	return &Error{Code: validation, Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *Error {
	return &Error{Code: resourceNotFound, Status: http.StatusNotFound, Message: fmt.Sprintf(format, args...)}
}

// pairsOf finds the store that a request is for.
func (h *handler) pairsOf(s *state, c call) (*resource, storeConfig, error) {
	r := s.storeOf(h.Catalog, c.args[0])
	if r == nil {
		return nil, storeConfig{}, notFound("The key value store was not found: %q", clip(c.args[0]))
	}
	return r, r.config.(storeConfig), nil
}

func jsonReply(etag string, v any) (reply, error) {
	text, err := json.Marshal(v)
	header := make(map[string]string)
	if etag != "" {
		header["ETag"] = etag
	}
	return reply{header: header, body: text}, err
}

// totals is what most answers say of the store.
type totals struct {
	ItemCount        int
	TotalSizeInBytes int
}

func (c storeConfig) totals() totals { return totals{len(c.Pairs), c.Size} }

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (h *handler) describePairs(c call) (reply, error) {
	r, config, err := h.pairsOf(h.Catalog.state.Load(), c)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(config.dataETag(), struct {
		totals
		KvsARN                string
		Created, LastModified float64
		Status                string
	}{config.totals(), c.args[0], seconds(r.created), seconds(config.LastEdit), h.storeStatus(r)})
}

// pair is one as it travels.
type pair struct {
	Key   string
	Value string
}

func (h *handler) getKey(c call) (reply, error) {
	_, config, err := h.pairsOf(h.Catalog.state.Load(), c)
	if err != nil {
		return reply{}, err
	}
	value, ok := config.Pairs[c.args[1]]
	if !ok {
		return reply{}, notFound("The key was not found: %q", clip(c.args[1]))
	}
	return jsonReply("", struct {
		pair
		totals
	}{pair{c.args[1], value}, config.totals()})
}

// listKeys pages by keys, in their order: the token is the last one of a page.
func (h *handler) listKeys(c call) (reply, error) {
	_, config, err := h.pairsOf(h.Catalog.state.Load(), c)
	if err != nil {
		return reply{}, err
	}
	limit := 10
	if text := c.URL.Query().Get("MaxResults"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > 50 {
			return reply{}, invalidPair("MaxResults must be a number from 1 to 50, not %q", clip(text))
		}
	}
	keys := slices.Sorted(maps.Keys(config.Pairs))
	begin, found := slices.BinarySearch(keys, c.URL.Query().Get("NextToken"))
	if found {
		begin++
	}
	end := min(begin+limit, len(keys))
	page := struct {
		Items     []pair
		NextToken string `json:",omitempty"`
	}{Items: []pair{}}
	for _, key := range keys[begin:end] {
		page.Items = append(page.Items, pair{key, config.Pairs[key]})
	}
	if end < len(keys) {
		page.NextToken = keys[end-1]
	}
	return jsonReply("", page)
}

func (h *handler) putKey(c call) (reply, error) {
	var given struct{ Value *string }
	if err := json.Unmarshal(c.body, &given); err != nil || given.Value == nil {
		return reply{}, invalidPair("The request's body must be JSON with a Value")
	}
	return h.edit(c, map[string]string{c.args[1]: *given.Value}, nil)
}

func (h *handler) deleteKey(c call) (reply, error) { return h.edit(c, nil, []string{c.args[1]}) }

func (h *handler) updateKeys(c call) (reply, error) {
	var given struct {
		Puts    []pair
		Deletes []struct{ Key string }
	}
	switch err := json.Unmarshal(c.body, &given); {
	case err != nil:
		return reply{}, invalidPair("The request's body is no JSON of puts and deletes")
	case len(c.body) > maxBatchSize:
		return reply{}, invalidPair("The request's body has more than %d bytes", maxBatchSize)
	case len(given.Puts)+len(given.Deletes) > maxBatch:
		return reply{}, invalidPair("The request has more than %d keys", maxBatch)
	case len(given.Puts)+len(given.Deletes) == 0:
		return reply{}, invalidPair("The request has no keys")
	}
	puts, deletes := make(map[string]string, len(given.Puts)), make([]string, 0, len(given.Deletes))
	for _, p := range given.Puts {
		puts[p.Key] = p.Value
	}
	for _, d := range given.Deletes {
		deletes = append(deletes, d.Key)
		if _, twice := puts[d.Key]; twice {
			return reply{}, invalidPair("The key %q is both put and deleted", clip(d.Key))
		}
	}
	if len(puts) < len(given.Puts) {
		return reply{}, invalidPair("A key is put twice")
	}
	return h.edit(c, puts, deletes)
}

// edit changes pairs if If-Match names the version of those that there are. One
// batch is seen as a whole or not at all.
func (h *handler) edit(c call, puts map[string]string, deletes []string) (reply, error) {
	made, err := h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		old, config, err := h.pairsOf(s, c)
		if err != nil {
			return nil, err
		}
		switch strings.Trim(c.Header.Get("If-Match"), `"`) {
		case config.dataETag():
		case "":
			return nil, invalidPair("The If-Match header is missing")
		default:
			return nil, &Error{Code: conflict, Status: http.StatusConflict, Message: "The key value store is not in the expected state: If-Match does not name its version"}
		}
		next := *old // the description's version stays
		next.config, err = config.with(puts, deletes, h.Catalog.now())
		return &next, err
	}, unjudged)
	if err != nil {
		return reply{}, err
	}
	config := made.config.(storeConfig)
	return jsonReply(config.dataETag(), config.totals())
}

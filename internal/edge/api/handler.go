package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/freshet/freshet/internal/sigv4"
)

// MaxBody is the longest body of a request, in bytes: 3,000 paths of 4,000
// characters with their markup, and some air.
const MaxBody = 16 << 20

// maxDrained is how much of a body that is too long is read on, and thrown away.
const maxDrained = 4 * MaxBody

// HandlerConfig is what a handler works with. Register and Credentials are
// required.
type HandlerConfig struct {
	Register    *Register
	Catalog     *Catalog          // of what is configured; nil is what the register has, to be read only
	Credentials sigv4.Credentials // of the one client key that is let in, for any region
	Now         func() time.Time  // nil is time.Now
	Logger      *slog.Logger      // is told of answers with status 5xx; nil discards

	// TestFunction runs a function for TestFunction; nil where functions cannot be
	// run. Its error is an ErrEvent or means that the edge itself failed. It is
	// called concurrently.
	TestFunction func(context.Context, FunctionTest) (FunctionOutcome, error)

	// Import returns the pairs of the object in a bucket that an ARN names; nil where
	// there are no buckets. Its error is an ErrImport or means that the edge itself
	// failed. It is called concurrently.
	Import func(ctx context.Context, sourceARN string) (map[string]string, error)

	// Fault is asked, where it is not nil, what shall go wrong with a signed
	// request, by the name of its operation. It is called concurrently.
	Fault func(operation string) Fault
}

// Fault is what goes wrong with one request on purpose. The zero value is
// nothing.
type Fault struct {
	Delay      time.Duration // before anything is done
	Err        *Error        // is answered and nothing is done
	LoseAnswer bool          // the request is carried out, then the connection breaks
}

type handler struct {
	HandlerConfig
	verifier, pairVerifier     sigv4.Verifier
	operations, pairOperations []operation
}

// NewHandler returns the API's handler. It answers every path and looks at
// nothing before the signature.
func NewHandler(cfg HandlerConfig) (http.Handler, error) {
	if cfg.Register == nil || cfg.Credentials.AccessKeyID == "" || cfg.Credentials.Secret == "" {
		return nil, errors.New("make the CloudFront API: a register and credentials are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Catalog == nil {
		var err error
		cfg.Catalog, err = OpenCatalog(context.Background(), CatalogConfig{BuiltIn: cfg.Register.Distributions(), Now: cfg.Now})
		if err != nil {
			return nil, fmt.Errorf("make the CloudFront API: %w", err)
		}
	}
	return &handler{
		HandlerConfig:  cfg,
		verifier:       sigv4.Verifier{Credentials: cfg.Credentials, Service: "cloudfront", MaxBody: MaxBody, Now: cfg.Now, Derived: new(sigv4.Derived)},
		pairVerifier:   sigv4.Verifier{Credentials: cfg.Credentials, Service: "cloudfront-keyvaluestore", MaxBody: MaxBody, Now: cfg.Now, Asymmetric: true},
		operations:     operations(),
		pairOperations: pairOperations(),
	}, nil
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := newRequestID()
	w.Header().Set("X-Amzn-Requestid", requestID)
	if answersPairs(r) {
		h.servePairs(w, r, requestID)
		return
	}
	reply, err := h.answer(r)
	if err == nil {
		err = write(w, reply)
	}
	if err == nil {
		return
	}
	if errors.Is(err, errLost) {
		panic(http.ErrAbortHandler)
	}
	refusal := refusalFor(err)
	if refusal.Code == BatchTooLarge {
		// Many clients do not look at an answer before they have sent everything.
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
	}
	if refusal.Status >= http.StatusInternalServerError {
		h.Logger.Error("answer a CloudFront request", "method", r.Method, "path", r.URL.Path, "request_id", requestID, "error", err)
	}
	writeError(w, refusal, requestID)
}

// errLost is returned when the client must believe that the connection broke.
var errLost = errors.New("the answer is lost on purpose")

func (h *handler) answer(r *http.Request) (reply, error) {
	body, err := h.verifier.Verify(r)
	if err != nil {
		return reply{}, err
	}
	op, err := h.route(r)
	if err != nil {
		return reply{}, err
	}
	return h.carryOut(op, call{Request: r, args: op.args, body: body})
}

// carryOut does what is asked for, and what shall go wrong with it.
func (h *handler) carryOut(op operation, c call) (reply, error) {
	var fault Fault
	if h.Fault != nil {
		fault = h.Fault(op.name)
	}
	if err := fault.before(c.Request); err != nil {
		return reply{}, err
	}
	answer, err := op.serve(h, c)
	if fault.LoseAnswer {
		return reply{}, errLost
	}
	return answer, err
}

// before waits and fails as the fault says.
func (f Fault) before(r *http.Request) error {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
			return fmt.Errorf("delay the request: %w", r.Context().Err())
		}
	}
	if f.Err != nil {
		return f.Err
	}
	return nil
}

// ErrThrottled is how CloudFront answers requests that come too fast: as an
// HTTP 400.
func ErrThrottled() *Error { return refuse(Throttling, "Rate exceeded") }

// ErrUnavailable is how CloudFront answers when something is wrong on its side.
func ErrUnavailable() *Error {
	return refuse(ServiceUnavailable, "CloudFront encountered an internal error. Please try again.")
}

// ErrBusy is how CloudFront answers when a distribution has as much in progress
// as it may have.
func ErrBusy() *Error {
	return refuse(TooManyInvalidationsInProgress, "Processing your request will cause you to exceed the maximum number of in-progress invalidations")
}

// refusalFor turns any error into one that can be shown to a client.
func refusalFor(err error) *Error {
	var refused *Error
	var unsigned *sigv4.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &unsigned) && unsigned.Code == sigv4.RequestEntityTooLarge:
		return refuse(BatchTooLarge, "Your request is longer than %d bytes", MaxBody)
	case errors.As(err, &unsigned):
		return &Error{Code: unsigned.Code, Status: unsigned.Status, Message: unsigned.Message}
	default:
		return ErrUnavailable()
	}
}

// newRequestID returns random digits in the form of a UUID.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

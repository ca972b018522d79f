package cdntest

import (
	"cmp"
	"net/http"
	"net/http/httptrace"
)

// Patient is an HTTP client for the AWS SDK that has written all of a request before it returns
// the response. The SDK closes a request's body as soon as it has a response; a
// transport that has still to look for the end of that body takes it for a
// failure then, and closes the connection under a long response.
type Patient struct {
	Client *http.Client // nil: http.DefaultClient
}

// Do sends r.
func (p Patient) Do(r *http.Request) (*http.Response, error) {
	wrote := make(chan struct{}, 2) // a request may be written again on another connection
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) {
		select {
		case wrote <- struct{}{}:
		default:
		}
	}})
	client := cmp.Or(p.Client, http.DefaultClient)
	resp, err := client.Do(r.WithContext(ctx))
	if err == nil {
		<-wrote
	}
	return resp, err
}

package probe

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/freshet/freshet/internal/variant"
)

// AskFor is what asks for u as v does.
func AskFor(u *url.URL, v variant.Variant) Ask {
	to := *u
	for _, q := range v.Query {
		if to.RawQuery != "" {
			to.RawQuery += "&"
		}
		to.RawQuery += url.QueryEscape(q.Name) + "=" + url.QueryEscape(q.Value)
	}
	a := Ask{URL: &to, Header: make(http.Header)}
	a.Header.Set("Accept-Encoding", v.Encoding)
	for _, h := range v.Headers {
		a.Header.Add(h.Name, h.Value)
	}
	var cookies []string
	for _, c := range v.Cookies {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	if len(cookies) > 0 {
		a.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	return a
}

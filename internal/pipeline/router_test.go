package pipeline_test

import (
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/route"
)

// router is that of one distribution in front of the bucket, and of those beside
// it.
func (l *line) router() *route.Router {
	d := distribution.ForBucket("E1", "site")
	d.Config.DefaultCacheBehavior.ForwardedValues.QueryString = l.queryString
	r, err := route.New(append([]distribution.Distribution{d}, l.beside...), l.rules)
	l.must(err)
	return r
}

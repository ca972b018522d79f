package awssetup

import (
	"regexp"
	"sync"
)

// matching reports whether a text matches. The expression is compiled when it is
// first asked for: each start of the program would pay for all of them otherwise,
// and each garbage collection look at them.
func matching(expression string) func(text string) bool {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
	return func(text string) bool { return compiled().MatchString(text) }
}

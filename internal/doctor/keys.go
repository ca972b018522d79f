package doctor

import (
	"fmt"
	"strings"

	"github.com/freshet/freshet"
)

// keys finds objects that no invalidation names exactly.
func (s Seen) keys() []Finding {
	const check = "keys"
	switch {
	case s.Bucket == "":
		return []Finding{{Level: Note, Check: check, Saw: "not looked at: no bucket was named or found", Do: "name one with --bucket"}}
	case s.Listing.Err != nil:
		return []Finding{{Level: Warning, Check: check, Saw: "the bucket cannot be listed: " + why(s.Listing.Err), Do: remedy(s.Listing.Err, "s3:ListBucket")}}
	}
	var broad []string
	reached := 0
	for _, key := range s.Listing.Is.Keys {
		below, ok := s.below(key)
		if !ok {
			continue
		}
		reached++
		for _, path := range freshet.KeyPaths(below) {
			if p, exact := freshet.PathPattern(path); !exact {
				broad = append(broad, fmt.Sprintf("%s (only by %s)", key, p))
				break
			}
		}
	}
	looked := count(reached, "key")
	if s.Listing.Is.More {
		looked = "the first " + looked
	}
	if len(broad) > 0 {
		return []Finding{{Level: Warning, Check: check, Saw: fmt.Sprintf("%d of %s cannot be invalidated exactly: %s", len(broad), looked, some(broad)),
			Do: "rename them: CloudFront cannot match a ~, takes a * at the end for a wildcard, and no path longer than it allows; until then a wildcard removes more than has changed"}}
	}
	return []Finding{{Level: OK, Check: check, Saw: fmt.Sprintf("%s: each has a path of its own", looked)}}
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// below is key without the origin path under which a distribution has it, and
// whether one has it at all. Where none is known to have the bucket, all count.
func (s Seen) below(key string) (rest string, reached bool) {
	reached = true
	for i := range s.Sites {
		for _, o := range s.feeding(&s.Sites[i]) {
			if rest, ok := strings.CutPrefix("/"+key, o.OriginPath+"/"); ok {
				return rest, true
			}
			reached = false
		}
	}
	return key, reached
}

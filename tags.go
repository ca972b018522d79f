package freshet

import (
	"slices"
	"strings"
)

// maxTags is how many cache tags of an object count.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidate-by-cache-tag.html
const maxTags = 50

// TagLine is a line of Change.Tags: what the origin sends in a header that may
// hold cache tags. A value with a line break in it, which no header can have, is
// taken for empty.
func TagLine(header, value string) string {
	if strings.ContainsAny(header+value, "\r\n") {
		value = ""
	}
	return strings.ToLower(header) + ":" + value + "\n"
}

// TagsIn returns the cache tags, without the #, in lower case and sorted, that a
// cache takes from a header when the origin sends what lines, made by TagLine,
// say. It is never more than what the cache takes: of more tags than count, it is
// not known which ones a cache leaves out if some are no tags or come twice.
func TagsIn(lines, header string) []string {
	var tags []string
	for line := range strings.Lines(lines) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !ok || header == "" || !strings.EqualFold(name, header) {
			continue
		}
		n := 0
		for tag := range strings.SplitSeq(value, ",") {
			if n++; n > maxTags {
				break
			}
			tag = strings.ToLower(strings.Trim(tag, " \t"))
			if p, err := ParsePattern("#" + tag); err == nil && p.IsTag() {
				tags = append(tags, tag)
			}
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

package cloudformation

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A text that stands for something that only CloudFormation knows carries a
// mark: one character of plane 15, by its number in symbols. Texts that are
// joined and split keep their marks. Where all is resolved plain takes them
// away, and makes host names that had any end in a way that cannot be reached.
const (
	firstMark = '\U000F0000'
	lastMark  = '\U000FFFFD'
)

func isMark(c rune) bool { return c >= firstMark && c <= lastMark }

func marked(s string) bool { return strings.ContainsFunc(s, isMark) }

// symbol returns the mark of what stands for name.
func (r *resolver) symbol(name string) string {
	i := slices.Index(r.symbols, name)
	if i < 0 {
		i = len(r.symbols)
		r.symbols = append(r.symbols, name)
	}
	return string(min(firstMark+rune(i), lastMark))
}

// unreachable ends host names that lead nowhere.
// https://www.rfc-editor.org/rfc/rfc2606#section-2
const unreachable = ".invalid"

// unknown returns what stands for an attribute. What is a host name, or a URL
// by its attribute's name, has the form of one.
func (r *resolver) unknown(id, attribute string) string {
	name := id + "." + attribute
	mark, host := r.symbol(name), strings.ToLower(id)+unreachable
	switch last := attribute[strings.LastIndexByte(attribute, '.')+1:]; {
	case strings.HasSuffix(last, "Url"), strings.HasSuffix(last, "URL"):
		return "https://" + mark + host + "/"
	case r.kind(id) == "AWS::MediaStore::Container", last == "ApiEndpoint":
		return "https://" + mark + host
	case strings.HasSuffix(last, "DomainName"), strings.HasSuffix(last, "DNSName"), strings.HasPrefix(last, "Endpoint"):
		return mark + host
	}
	return mark + name
}

// Host returns what stands for the domain name of a distribution of which only
// the logical ID is known.
func Host(id string) string { return strings.ToLower(id) + unreachable }

// plain takes the marks out of a resolved tree.
func (r *resolver) plain(tree any, path string) any {
	switch t := tree.(type) {
	case string:
		return r.plainText(t, path)
	case []any:
		for i, e := range t {
			t[i] = r.plain(e, path+"["+strconv.Itoa(i)+"]")
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(t)) {
			t[name] = r.plain(t[name], path+"."+name)
		}
	}
	return tree
}

func (r *resolver) plainText(s, path string) string {
	if !marked(s) {
		return s
	}
	var names []string
	plain := strings.Map(func(c rune) rune {
		if !isMark(c) {
			return c
		}
		if i := int(c - firstMark); i < len(r.symbols) {
			names = append(names, r.symbols[i])
		}
		return -1
	}, s)
	slices.Sort(names)
	names = slices.Compact(names)
	switch {
	case isExact(path):
		for _, name := range names {
			r.fail(path, "%s is known to CloudFormation only: give it as resource %s", name, name)
		}
		return plain
	case !isHost(path):
		return plain
	}
	if !strings.HasSuffix(plain, unreachable) {
		plain = strings.ToLower(plain) + unreachable
	}
	for _, name := range names {
		r.warn(path, "%s is known to CloudFormation only, and %s stands for the host: give it as resource %s", name, plain, name)
	}
	return plain
}

// isExact reports whether nothing can stand for what is at path, because it
// decides which objects an URL leads to.
func isExact(path string) bool {
	name := path[strings.LastIndexByte(path, '.')+1:]
	return slices.Contains([]string{"OriginPath", "PathPattern", "DefaultRootObject", "ResponsePagePath", "HeaderName"}, name)
}

// isHost reports whether what stands at path is a host name.
func isHost(path string) bool {
	if list, ok := strings.CutSuffix(path, "]"); ok {
		list = strings.TrimRight(list, "0123456789")
		return strings.HasSuffix(list, ".Aliases[") || strings.HasSuffix(list, ".CNAMEs[")
	}
	return strings.HasSuffix(path, ".DomainName") || strings.HasSuffix(path, ".DNSName")
}

package api

import (
	"net/http"
	"slices"
	"strings"
)

// maxTags is how many a resource may have.
const maxTags = 50

// tagsOf reads a Tags element.
func tagsOf(v any) ([]Tag, error) {
	var tags []Tag
	for _, t := range listed(v) {
		key, _ := t["Key"].(string)
		value, _ := t["Value"].(string)
		tags = append(tags, Tag{key, value})
	}
	return settled(tags)
}

// settled sorts tags and refuses what CloudFront does.
func settled(tags []Tag) ([]Tag, error) {
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	for i, t := range tags {
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, refuse(InvalidTagging, "The tagging specified is not valid: the key %q begins with aws:, which is Amazon's", clip(t.Key))
		}
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || i > 0 && tags[i-1].Key == t.Key {
			return nil, refuse(InvalidTagging, "The tagging specified is not valid: the key %q is missing, too long, there twice, or its value too long", clip(t.Key))
		}
	}
	if len(tags) > maxTags {
		return nil, refuse(InvalidTagging, "The tagging specified is not valid: there are %d tags, at most %d are allowed", len(tags), maxTags)
	}
	return tags, nil
}

// tagged finds the distribution, function or key value store that an ARN names.
func (h *handler) tagged(s *state, arn string) (*resource, error) {
	for _, kind := range []kindName{distributionKind, functionKind} {
		id, ok := strings.CutPrefix(arn, h.Catalog.arn(string(kind)+"/"))
		if r := s.resources[resourceKey{kind, id}]; ok && r != nil {
			return r, nil
		}
	}
	if r := s.storeOf(h.Catalog, arn); r != nil {
		return r, nil
	}
	return nil, refuse(NoSuchResource, "The resource was not found: %q", clip(arn))
}

func (h *handler) listTags(c call) (reply, error) {
	r, err := h.tagged(h.Catalog.state.Load(), c.URL.Query().Get("Resource"))
	if err != nil {
		return reply{}, err
	}
	return reply{body: document{name: "Tags", below: []element{{name: "Items", below: each(r.tags, func(t Tag) element {
		return group("Tag", text("Key", t.Key), text("Value", t.Value))
	})}}}}, nil
}

func (h *handler) tag(c call) (reply, error) {
	t, err := readTree(c.body, "Tags")
	if err != nil {
		return reply{}, err
	}
	return h.changeTags(c, func(old []Tag) ([]Tag, error) { return withTags(old, t) })
}

func (h *handler) untag(c call) (reply, error) {
	f, err := readFields(c.body, "TagKeys")
	gone := f.list("Items")
	if err := f.end(err); err != nil {
		return reply{}, err
	}
	return h.changeTags(c, func(old []Tag) ([]Tag, error) {
		return slices.DeleteFunc(slices.Clone(old), func(t Tag) bool { return slices.Contains(gone, t.Key) }), nil
	})
}

// changeTags replaces the tags there are.
func (h *handler) changeTags(c call, change func([]Tag) ([]Tag, error)) (reply, error) {
	_, err := h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		old, err := h.tagged(s, c.URL.Query().Get("Resource"))
		if err != nil {
			return nil, err
		}
		next := *old // its version stays: tags are no part of the configuration
		next.tags, err = change(old.tags)
		return &next, err
	}, func(*state, *resource) error { return nil })
	return reply{status: http.StatusNoContent}, err
}

// withTags adds the tags of a Tags element to old ones; the new one of a key
// counts.
func withTags(old []Tag, t tree) ([]Tag, error) {
	added, err := tagsOf(t)
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(slices.Clone(old), func(o Tag) bool {
		return slices.ContainsFunc(added, func(a Tag) bool { return a.Key == o.Key })
	})
	return settled(append(all, added...))
}

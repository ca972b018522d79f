package api

import (
	"net/http"
	"net/url"
	"strconv"
)

func (h *handler) createInvalidation(c call) (reply, error) {
	id := c.args[0]
	if _, err := h.Register.Distribution(id); err != nil {
		return reply{}, err
	}
	batch, err := readBatch(c.body)
	if err != nil {
		return reply{}, err
	}
	created, err := h.Register.Create(c.Context(), id, batch)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, header: map[string]string{"Location": c.location("distribution/" + id + "/invalidation/" + created.ID)}, body: encoded(invalidationText(created))}, nil
}

func (h *handler) getInvalidation(c call) (reply, error) {
	found, err := h.Register.Get(c.args[0], c.args[1])
	if err != nil {
		return reply{}, err
	}
	return reply{body: encoded(invalidationText(found))}, nil
}

func (h *handler) listInvalidations(c call) (reply, error) {
	marker, limit, err := paging(c.URL.Query())
	if err != nil {
		return reply{}, err
	}
	page, err := h.Register.List(c.args[0], marker, limit)
	if err != nil {
		return reply{}, err
	}
	list := invalidationListXML{pageXML: pageXML{Marker: marker, NextMarker: page.Next, MaxItems: limit, IsTruncated: page.Next != "", Quantity: len(page.Invalidations)}}
	list.Items = some(each(page.Invalidations, func(i Invalidation) invalidationSummaryXML {
		return invalidationSummaryXML{ID: i.ID, CreateTime: timestamp(i.Created), Status: i.Status()}
	}))
	return reply{body: list}, nil
}

// paging reads the parameters that all lists share. A MaxItems beyond MaxPage
// is served as MaxPage.
func paging(query url.Values) (marker string, limit int, err error) {
	limit = MaxPage
	if query.Has("MaxItems") {
		limit, err = strconv.Atoi(query.Get("MaxItems"))
		if err != nil || limit < 1 {
			return "", 0, refuse(InvalidArgument, "MaxItems must be a number from 1 to %d, not %q", MaxPage, clip(query.Get("MaxItems")))
		}
	}
	return query.Get("Marker"), min(limit, MaxPage), nil
}

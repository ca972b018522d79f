package api

// MaxPage is the most entries a page of a list has, and how many it has when the
// client does not say.
const MaxPage = 100

// Page is a part of a distribution's invalidations, newest first. They come
// without paths.
type Page struct {
	Invalidations []Invalidation
	Next          string // marker of the next page; empty when this is the last
}

// Get returns one invalidation, or a NoSuchDistribution or NoSuchInvalidation
// error.
func (r *Register) Get(distributionID, id string) (Invalidation, error) {
	if _, err := r.Distribution(distributionID); err != nil {
		return Invalidation{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if h, ok := r.histories[distributionID]; ok {
		if record, ok := h.records[id]; ok {
			return record.snapshot(), nil
		}
	}
	return Invalidation{}, refuse(NoSuchInvalidation, "The specified invalidation does not exist: %q", clip(id))
}

// List returns the invalidations that are older than the one named by marker,
// or the newest for an empty marker, limit of them and no more than MaxPage. A
// marker that names no invalidation of the distribution is an InvalidArgument.
func (r *Register) List(distributionID, marker string, limit int) (Page, error) {
	if _, err := r.Distribution(distributionID); err != nil {
		return Page{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.histories[distributionID]
	if !ok {
		h = newHistory()
	}
	records, more, ok := h.page(marker, min(limit, MaxPage))
	if !ok {
		return Page{}, refuse(InvalidArgument, "The marker does not name an invalidation of the distribution: %q", clip(marker))
	}
	var page Page
	for _, record := range records {
		i := record.Invalidation
		i.Paths = nil
		page.Invalidations = append(page.Invalidations, i)
	}
	if more {
		page.Next = page.Invalidations[len(page.Invalidations)-1].ID
	}
	return page, nil
}

// InProgress counts the distribution's invalidations that are in progress.
func (r *Register) InProgress(distributionID string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h, ok := r.histories[distributionID]; ok {
		return h.running.batches - len(h.pending)
	}
	return 0
}

package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
)

func storeOperations() []operation {
	one := []string{"key-value-store", "*"}
	return []operation{
		{name: "CreateKeyValueStore", method: http.MethodPost, path: one[:1], serve: (*handler).createStore},
		{name: "ListKeyValueStores", method: http.MethodGet, path: one[:1], serve: (*handler).listStores},
		{name: "DescribeKeyValueStore", method: http.MethodGet, path: one, serve: (*handler).describeStore},
		{name: "UpdateKeyValueStore", method: http.MethodPut, path: one, serve: (*handler).updateStore},
		{name: "DeleteKeyValueStore", method: http.MethodDelete, path: one, serve: (*handler).deleteStore},
	}
}

// ErrImport is found by errors.Is in the error of HandlerConfig.Import when the
// source is not there or holds no pairs. Its text is shown to the client.
var ErrImport = errors.New("the source cannot be imported")

// storeRequest is the body of CreateKeyValueStore.
type storeRequest struct {
	name, comment, source string
	tags                  []Tag
}

func readStore(body []byte) (r storeRequest, err error) {
	f, err := readFields(body, "CreateKeyValueStoreRequest", "Name")
	r.name, r.comment = f.text("Name"), f.text("Comment")
	source, tags := f.group("ImportSource"), f.group("Tags")
	if err := f.end(err); err != nil {
		return storeRequest{}, err
	}
	kind := source.text("SourceType")
	r.source = source.text("SourceARN")
	if err := source.end(nil); err != nil {
		return storeRequest{}, err
	}
	switch {
	case !storeName.MatchString(r.name):
		return storeRequest{}, refuse(InvalidArgument, "The parameter Name is not valid: %q", clip(r.name))
	case len(r.comment) > 128:
		return storeRequest{}, refuse(InvalidArgument, "The parameter Comment has more than 128 characters")
	case source.given != nil && kind != "S3":
		return storeRequest{}, refuse(InvalidArgument, "The parameter SourceType is not valid: %q", clip(kind))
	}
	r.tags, err = tagsOf(tags.given)
	return r, err
}

// imported returns the pairs of a source, none without a source.
func (h *handler) imported(ctx context.Context, source string) (map[string]string, error) {
	if source == "" {
		return nil, nil
	}
	if h.Import == nil {
		return nil, refuse(UnsupportedOperation, "This edge cannot import key value stores")
	}
	found, err := h.Import(ctx, source)
	if errors.Is(err, ErrImport) {
		return nil, refuse(InvalidArgument, "The parameter ImportSource is not valid: %s", clipped(err.Error(), 400))
	}
	return found, err
}

func (h *handler) createStore(c call) (reply, error) {
	wanted, err := readStore(c.body)
	if err != nil {
		return reply{}, err
	}
	found, err := h.imported(c.Context(), wanted.source)
	if err != nil {
		return reply{}, err
	}
	made, err := h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		key := resourceKey{storeKind, wanted.name}
		switch {
		case s.resources[key] != nil:
			return nil, refuse("EntityAlreadyExists", "A key value store with the same name already exists: %q", wanted.name)
		case len(s.all(storeKind)) >= maxStores:
			return nil, refuse("EntityLimitExceeded", "Your request would cause you to exceed the maximum number of key value stores: %d", maxStores)
		}
		r := h.Catalog.fresh(key, nil, wanted.tags)
		config, err := storeConfig{ID: newRequestID(), Comment: wanted.comment}.with(found, nil, r.created)
		r.config = config
		return r, err
	}, unjudged)
	if err != nil {
		return reply{}, err
	}
	return h.storeReply(made, http.StatusCreated, map[string]string{"Location": c.location("key-value-store/" + wanted.name)}), nil
}

func (h *handler) storeReply(r *resource, status int, header map[string]string) reply {
	if header == nil {
		header = make(map[string]string)
	}
	header["ETag"] = r.config.(storeConfig).etag()
	return reply{status: status, header: header, body: document(h.storeElement(r))}
}

func (h *handler) storeElement(r *resource) element {
	config := r.config.(storeConfig)
	return group("KeyValueStore",
		text("Name", r.key.id), text("Id", config.ID), text("Comment", config.Comment), text("ARN", h.Catalog.storeARN(config)),
		text("Status", h.storeStatus(r)), text("LastModifiedTime", timestamp(r.modified)))
}

// storeStatus is PROVISIONING for as long as a distribution would be deployed.
func (h *handler) storeStatus(r *resource) string {
	if h.Catalog.status(r.created) == statusInProgress {
		return "PROVISIONING"
	}
	return "READY"
}

func (h *handler) describeStore(c call) (reply, error) {
	r, err := h.Catalog.state.Load().get(resourceKey{storeKind, c.args[0]})
	if err != nil {
		return reply{}, err
	}
	return h.storeReply(r, http.StatusOK, nil), nil
}

// listStores takes Status.
func (h *handler) listStores(c call) (reply, error) {
	wanted := c.URL.Query().Get("Status")
	if !oneOf(wanted, "", "PROVISIONING", "READY", "IMPORT_FAILED") {
		return reply{}, refuse(InvalidArgument, "The parameter Status is not valid: %q", clip(wanted))
	}
	found := slices.DeleteFunc(h.Catalog.state.Load().all(storeKind), func(r *resource) bool { return wanted != "" && h.storeStatus(r) != wanted })
	below, err := h.paged(c, found, pageWithout, func(r *resource) (element, error) { return h.storeElement(r), nil })
	return reply{body: document{name: "KeyValueStoreList", below: below}}, err
}

// currentStore finds the store if If-Match names the version of its description.
func (s *state) currentStore(c call) (*resource, error) {
	r, err := s.get(resourceKey{storeKind, c.args[0]})
	if err != nil {
		return nil, err
	}
	return r, matches(c, r.config.(storeConfig).etag())
}

func (h *handler) updateStore(c call) (reply, error) {
	f, err := readFields(c.body, "UpdateKeyValueStoreRequest", "Comment")
	comment := f.text("Comment")
	if err := f.end(err); err != nil {
		return reply{}, err
	}
	if len(comment) > 128 {
		return reply{}, refuse(InvalidArgument, "The parameter Comment has more than 128 characters")
	}
	made, err := h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		old, err := s.currentStore(c)
		if err != nil {
			return nil, err
		}
		config := old.config.(storeConfig)
		config.Comment = comment
		config.Renewed++
		return h.Catalog.revised(old, config), nil
	}, unjudged)
	if err != nil {
		return reply{}, err
	}
	return h.storeReply(made, http.StatusOK, nil), nil
}

func (h *handler) deleteStore(c call) (reply, error) {
	err := h.Catalog.remove(c.Context(), func(s *state) (*resource, error) {
		old, err := s.currentStore(c)
		if err != nil {
			return nil, err
		}
		if users := s.usersOf(h.Catalog.storeARN(old.config.(storeConfig))); len(users) > 0 {
			return nil, refuse("CannotDeleteEntityWhileInUse", "Cannot delete the key value store because it is associated with functions: %q", users)
		}
		return old, nil
	})
	return reply{status: http.StatusNoContent}, err
}

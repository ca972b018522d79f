package api

import (
	"net/http"
	"slices"
	"strings"
)

// kindOperations are the operations on all kinds.
func kindOperations() []operation {
	var all []operation
	for _, k := range kinds() {
		root, plural := k.segments(), plural(k.word)
		one := slices.Concat(root, []string{"*"})
		update, config := one, slices.Concat(one, []string{"config"})
		if k.put != "" {
			update = slices.Concat(one, []string{k.put})
		}
		all = append(all,
			operation{name: "Create" + k.word, method: http.MethodPost, path: root, serve: k.create},
			operation{name: "Get" + k.word, method: http.MethodGet, path: one, serve: k.get},
			operation{name: "Get" + k.word + "Config", method: http.MethodGet, path: config, serve: k.getConfig},
			operation{name: "Update" + k.word, method: http.MethodPut, path: update, serve: k.update},
			operation{name: "Delete" + k.word, method: http.MethodDelete, path: one, serve: k.remove},
			operation{name: "List" + plural, method: http.MethodGet, path: root, serve: k.list})
	}
	return all
}

func plural(word string) string {
	if stem, ok := strings.CutSuffix(word, "y"); ok && word != "PublicKey" {
		return stem + "ies"
	}
	return word + "s"
}

func (k kind) create(h *handler, c call) (reply, error) {
	config, err := k.read(c.body)
	if err != nil {
		return reply{}, err
	}
	made, err := h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		if len(s.all(k.name)) >= k.most {
			return nil, refuse(k.tooMany, "Your request would cause you to exceed the maximum number: %d", k.most)
		}
		return h.Catalog.fresh(resourceKey{k.name, k.newID()}, config, nil), k.admit(s, "", nil, config)
	}, harmless)
	if err != nil {
		if earlier := k.earlier(h.Catalog.state.Load(), config); earlier != nil {
			return k.created(c, earlier)
		}
		return reply{}, err
	}
	return k.created(c, made)
}

func (k kind) created(c call, r *resource) (reply, error) {
	return k.reply(r, http.StatusCreated, map[string]string{"Location": c.location(strings.Join(k.segments(), "/") + "/" + r.key.id)})
}

// earlier is what the same request made before, or nil.
func (k kind) earlier(s *state, config configured) *resource {
	if !k.repeatable {
		return nil
	}
	for _, r := range s.all(k.name) {
		if r.config == config {
			return r
		}
	}
	return nil
}

// admit refuses a title that another resource has, and what breaks a rule.
func (k kind) admit(s *state, id string, was, config configured) error {
	for _, r := range s.all(k.name) {
		if r.key.id != id && r.config.title() == config.title() {
			return refuse(k.word+"AlreadyExists", "There is one with the name %q already: %s", clip(config.title()), r.key.id)
		}
	}
	for _, e := range config.elements() {
		if n := len([]rune(e.text)); e.name == "Comment" && n > maxComment {
			return refuse(InvalidArgument, "The parameter Comment has %d characters, at most %d are allowed", n, maxComment)
		}
	}
	return k.judge(s, was, config)
}

// harmless refuses a change with which a distribution would break a rule.
func harmless(next *state, r *resource) error {
	for _, d := range next.distributions {
		if !uses(r.key.kind, &d.Config, r.key.id) {
			continue
		}
		if _, err := d.Check(""); err != nil {
			return refuse(InvalidArgument, "The distribution %s could not use it: %s", d.ID, err)
		}
	}
	return nil
}

func (k kind) update(h *handler, c call) (reply, error) {
	config, err := k.read(c.body)
	if err != nil {
		return reply{}, err
	}
	key := resourceKey{k.name, c.args[0]}
	if _, managed := managedOf(k.name, key.id); managed {
		return reply{}, refuse(IllegalUpdate, "The %s %s is managed and cannot be changed", k.word, key.id)
	}
	made, err := h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		old, err := s.current(key, c)
		if err != nil {
			return nil, err
		}
		return h.Catalog.revised(old, config), k.admit(s, key.id, old.config, config)
	}, harmless)
	if err != nil {
		return reply{}, err
	}
	return k.reply(made, http.StatusOK, nil)
}

func (k kind) remove(h *handler, c call) (reply, error) {
	key := resourceKey{k.name, c.args[0]}
	if _, managed := managedOf(k.name, key.id); managed {
		return reply{}, refuse(IllegalDelete, "The %s %s is managed and cannot be deleted", k.word, key.id)
	}
	err := h.Catalog.remove(c.Context(), func(s *state) (*resource, error) {
		old, err := s.current(key, c)
		switch {
		case err != nil:
			return nil, err
		case old.builtFrom != "":
			return nil, old.builtIn()
		case k.used(s, key.id):
			return nil, refuse(k.inUse(), "Cannot delete the %s because it is attached to one or more resources: %s", k.word, key.id)
		}
		return old, nil
	})
	return reply{status: http.StatusNoContent}, err
}

func (k kind) inUse() string {
	if k.name == keyGroupKind {
		return "ResourceInUse"
	}
	return k.word + "InUse"
}

// find returns a configured or a managed resource.
func (k kind) find(h *handler, id string) (*resource, error) {
	if config, ok := managedOf(k.name, id); ok {
		return h.managedResource(k.name, id, config), nil
	}
	return h.Catalog.state.Load().get(resourceKey{k.name, id})
}

// managedResource shows a managed one as a resource that nobody has changed.
func (h *handler) managedResource(name kindName, id string, config configured) *resource {
	return &resource{key: resourceKey{name, id}, created: h.Catalog.opened, modified: h.Catalog.opened, config: config}
}

func (k kind) get(h *handler, c call) (reply, error) {
	r, err := k.find(h, c.args[0])
	if err != nil {
		return reply{}, err
	}
	return k.reply(r, http.StatusOK, nil)
}

func (k kind) getConfig(h *handler, c call) (reply, error) {
	r, err := k.find(h, c.args[0])
	if err != nil {
		return reply{}, err
	}
	etag, err := r.etag()
	return reply{header: map[string]string{"ETag": etag}, body: document{name: k.word + "Config", below: r.config.elements()}}, err
}

func (k kind) reply(r *resource, status int, header map[string]string) (reply, error) {
	etag, err := r.etag()
	if header == nil {
		header = make(map[string]string)
	}
	header["ETag"] = etag
	return reply{status: status, header: header, body: document{name: k.word, below: k.elements(r)}}, err
}

func (k kind) elements(r *resource) []element {
	below := []element{text("Id", r.key.id)}
	if k.more != nil {
		below = append(below, k.more(r))
	}
	switch k.dated {
	case "LastModifiedTime":
		below = append(below, text(k.dated, timestamp(r.modified)))
	case "CreatedTime":
		below = append(below, text(k.dated, timestamp(r.created)))
	}
	return append(below, group(k.word+"Config", r.config.elements()...))
}

// list takes Type, as far as there are managed ones: managed, custom or, without
// it, both.
func (k kind) list(h *handler, c call) (reply, error) {
	custom := h.Catalog.state.Load().all(k.name)
	all := slices.Clone(custom)
	if k.managed != nil {
		wanted := c.URL.Query().Get("Type")
		switch wanted {
		case "", "managed", "custom":
		default:
			return reply{}, refuse(InvalidArgument, "The parameter Type is not valid: %q", clip(wanted))
		}
		if wanted == "managed" {
			all = nil
		}
		if wanted != "custom" {
			for _, m := range k.managed() {
				all = append(all, h.managedResource(k.name, m.id, m.config))
			}
		}
		slices.SortFunc(all, func(a, b *resource) int { return strings.Compare(a.key.id, b.key.id) })
	}
	below, err := h.paged(c, all, k.page, func(r *resource) (element, error) { return k.summarize(r), nil })
	return reply{body: document{name: k.word + "List", below: below}}, err
}

func (k kind) summarize(r *resource) element {
	if k.summary != nil {
		return group(k.word+"Summary", k.summary(r)...)
	}
	whole := group(k.word, k.elements(r)...)
	if k.managed == nil {
		return group(k.word+"Summary", whole)
	}
	sort := "custom"
	if _, managed := managedOf(k.name, r.key.id); managed {
		sort = "managed"
	}
	return group(k.word+"Summary", text("Type", sort), whole)
}

package function

import (
	"math"
	"strconv"

	"github.com/dop251/goja"
)

// eventObject is the event as an object of the engine.
func (m *machine) eventObject() *goja.Object {
	ev := m.run.event
	about := m.vm.NewObject()
	for _, p := range [...][2]string{
		{"distributionDomainName", ev.Context.DistributionDomainName},
		{"endpoint", ev.Context.Endpoint},
		{"distributionId", ev.Context.DistributionID},
		{"eventType", string(ev.Context.EventType)},
		{"requestId", ev.Context.RequestID},
	} {
		if p[1] != "" {
			must(about.Set(p[0], p[1]))
		}
	}
	viewer := m.vm.NewObject()
	must(viewer.Set("ip", ev.Viewer.IP))

	request := m.vm.CreateObject(m.request)
	must(request.Set("method", ev.Request.Method))
	must(request.Set("uri", ev.Request.URI))
	must(request.Set("querystring", m.fieldsObject(ev.Request.QueryString)))
	must(request.Set("headers", m.fieldsObject(ev.Request.Headers)))
	must(request.Set("cookies", m.fieldsObject(ev.Request.Cookies)))

	o := m.vm.NewObject()
	must(o.Set("version", ev.Version))
	must(o.Set("context", about))
	must(o.Set("viewer", viewer))
	must(o.Set("request", request))
	if ev.Context.EventType == ViewerResponse && ev.Response != nil {
		must(o.Set("response", m.responseObject(*ev.Response)))
	}
	return o
}

func (m *machine) responseObject(r Response) *goja.Object {
	o := m.vm.NewObject()
	must(o.Set("statusCode", r.StatusCode))
	if r.StatusDescription != "" {
		must(o.Set("statusDescription", r.StatusDescription))
	}
	must(o.Set("headers", m.fieldsObject(r.Headers)))
	must(o.Set("cookies", m.fieldsObject(r.Cookies)))
	if r.Body != nil {
		body := m.vm.NewObject()
		must(body.Set("encoding", r.Body.Encoding))
		must(body.Set("data", r.Body.Data))
		must(o.Set("body", body))
	}
	return o
}

func (m *machine) fieldsObject(fs Fields) *goja.Object {
	o := m.vm.NewObject()
	for _, f := range fs {
		field := m.valueObject(f.Value)
		if f.Multi != nil {
			all := make([]any, len(f.Multi))
			for i, v := range f.Multi {
				all[i] = m.valueObject(v)
			}
			must(field.Set("multiValue", m.vm.NewArray(all...)))
		}
		if f.Name == "__proto__" { // a viewer may call a parameter so; assigning would change the object's kind
			must(o.DefineDataProperty(f.Name, field, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE))
			continue
		}
		must(o.Set(f.Name, field))
	}
	return o
}

func (m *machine) valueObject(v Value) *goja.Object {
	o := m.vm.NewObject()
	must(o.Set("value", v.Value))
	if v.Attributes != "" {
		must(o.Set("attributes", v.Attributes))
	}
	return o
}

// read takes what a handler returned, and leaves it in the result or says why it
// is refused. It reads properties, so it has to be called within the engine.
func (r *run) read(value goja.Value) {
	object, ok := value.(*goja.Object)
	switch {
	case !ok:
		r.refused = invalid("handler must return %s, and it returned %s", r.wanted(), value)
	case has(object, "statusCode"):
		r.readResponse(object)
	case r.event.Context.EventType == ViewerResponse:
		r.refused = invalid("handler must return %s, and what it returned has no statusCode", r.wanted())
	case has(object, "uri") || has(object, "method"):
		r.readRequest(object)
	case has(object, "request"):
		r.refused = invalid("handler must return %s, and it returned the whole event", r.wanted())
	default:
		r.refused = invalid("handler must return %s, and what it returned is neither", r.wanted())
	}
}

func (r *run) wanted() string {
	if r.event.Context.EventType == ViewerResponse {
		return "a response"
	}
	return "a request or a response"
}

func has(o *goja.Object, name string) bool {
	v := o.Get(name)
	return v != nil && !goja.IsUndefined(v)
}

// reader reads properties until the first mistake.
type reader struct {
	err *Error
}

func (d *reader) fail(format string, args ...any) {
	if d.err == nil {
		d.err = invalid(format, args...)
	}
}

func (r *run) readRequest(o *goja.Object) {
	d := &reader{}
	was := r.event.Request
	request := Request{
		Method:  d.text(o, "request", "method", was.Method),
		URI:     d.text(o, "request", "uri", was.URI),
		Headers: d.fields(o, "request", "headers"),
		Cookies: d.fields(o, "request", "cookies"),
	}
	// A string is taken as it is; CloudFront's own examples return one.
	if query, ok := o.Get("querystring").(goja.String); ok {
		raw := query.String()
		request.Raw, request.QueryString = &raw, parseQuery(raw)
	} else {
		request.QueryString = d.fields(o, "request", "querystring")
	}
	if d.err == nil {
		d.err = request.accept(was)
	}
	r.refused, r.result.Request = d.err, &request
	if r.refused == nil {
		r.refused = r.misdirected()
	}
}

func (r *run) readResponse(o *goja.Object) {
	d := &reader{}
	var was Response
	if r.event.Context.EventType == ViewerResponse && r.event.Response != nil {
		was = *r.event.Response
	}
	response := Response{
		StatusCode:        d.status(o.Get("statusCode")),
		StatusDescription: d.text(o, "response", "statusDescription", ""),
		Headers:           d.fields(o, "response", "headers"),
		Cookies:           d.fields(o, "response", "cookies"),
		Body:              d.body(o),
	}
	if d.err == nil {
		d.err = response.accept(was)
	}
	r.refused, r.result.Response = d.err, &response
}

// text reads a string; other is what counts if there is none.
func (d *reader) text(o *goja.Object, of, name, other string) string {
	v := o.Get(name)
	if v == nil || goja.IsUndefined(v) || goja.IsNull(v) {
		return other
	}
	if !isString(v) {
		d.fail("%s.%s must be a string", of, name)
		return other
	}
	return v.String()
}

func (d *reader) status(v goja.Value) int {
	if !isNumber(v) || v.ToFloat() != math.Trunc(v.ToFloat()) {
		d.fail("response.statusCode must be an integer: it is %s", kindOf(v))
		return 0
	}
	return int(v.ToInteger())
}

func (d *reader) body(o *goja.Object) *Body {
	switch v := o.Get("body").(type) {
	case goja.String:
		return &Body{Encoding: "text", Data: v.String()}
	case *goja.Object:
		return &Body{Encoding: d.text(v, "response.body", "encoding", "text"), Data: d.text(v, "response.body", "data", "")}
	case nil:
	default:
		if !goja.IsUndefined(v) && !goja.IsNull(v) {
			d.fail("response.body must be a string or an object with encoding and data")
		}
	}
	return nil
}

func (d *reader) fields(o *goja.Object, of, name string) Fields {
	path := of + "." + name
	v := o.Get(name)
	if v == nil || goja.IsUndefined(v) || goja.IsNull(v) {
		return nil
	}
	object, ok := v.(*goja.Object)
	if !ok {
		d.fail("%s must be an object", path)
		return nil
	}
	keys := object.Keys()
	fs := make(Fields, 0, len(keys))
	for _, key := range keys {
		if f, ok := d.field(object.Get(key), path, key); ok {
			fs = append(fs, f)
		}
	}
	return fs
}

func (d *reader) field(v goja.Value, path, name string) (Field, bool) {
	if v == nil || goja.IsUndefined(v) {
		return Field{}, false
	}
	object, ok := v.(*goja.Object)
	if !ok {
		d.fail("%s[%q] must be an object with a value: it is %s", path, name, kindOf(v))
		return Field{}, false
	}
	f := Field{Name: name}
	list, many := object.Get("multiValue").(*goja.Object)
	if !many || has(object, "value") {
		f.Value = d.value(object, path, name)
	}
	if many {
		n := int(object.Get("multiValue").(*goja.Object).Get("length").ToInteger())
		if n > maxHeaders {
			d.fail("%s[%q].multiValue has %d elements", path, name, n)
			return f, true
		}
		f.Multi = make([]Value, 0, n)
		for i := range n {
			element, ok := list.Get(strconv.Itoa(i)).(*goja.Object)
			if !ok {
				d.fail("%s[%q].multiValue[%d] must be an object with a value", path, name, i)
				break
			}
			f.Multi = append(f.Multi, d.value(element, path, name))
		}
	}
	return f, true
}

func (d *reader) value(o *goja.Object, path, name string) Value {
	v := o.Get("value")
	if v == nil || !isString(v) {
		d.fail("%s[%q].value must be a string: it is %s", path, name, kindOf(v))
		return Value{}
	}
	return Value{v.String(), d.text(o, path, "attributes", "")}
}

// kindOf names a value in a message.
func kindOf(v goja.Value) string {
	switch {
	case v == nil || goja.IsUndefined(v):
		return "missing"
	case isString(v):
		return "the string " + strconv.Quote(v.String())
	}
	if o, ok := v.(*goja.Object); ok {
		return "a value of type " + o.ClassName()
	}
	return v.String()
}

package function

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/dop251/goja"
)

// cloudfront is the module of that name.
func (m *machine) cloudfront() *goja.Object {
	o := m.vm.NewObject()
	must(o.Set("kvs", m.kvs))
	for _, method := range []string{"updateRequestOrigin", "selectRequestOriginById", "createRequestOriginGroup"} {
		must(o.Set(method, func(c goja.FunctionCall) goja.Value {
			m.changeOrigin(method, c.Arguments)
			return goja.Undefined()
		}))
	}
	must(o.Set("logCustomData", func(c goja.FunctionCall) goja.Value {
		text, ok := c.Argument(0).(goja.String)
		if !ok {
			panic(m.typeError("cf.logCustomData takes a string"))
		}
		m.run.result.LogData = logData(text.String())
		return goja.Undefined()
	}))
	location := m.vm.ToValue(func(goja.FunctionCall) goja.Value {
		place := m.vm.NewObject()
		if m.run.event.Context.EventType == ViewerRequest {
			must(place.Set("name", m.run.options.Edge.Name))
			must(place.Set("serverIp", m.run.options.Edge.ServerIP))
			must(place.Set("region", m.run.options.Edge.Region))
		}
		return place
	})
	must(o.DefineAccessorProperty("edgeLocation", location, nil, goja.FLAG_TRUE, goja.FLAG_TRUE))
	return o
}

// maxLogData is how much of what a function adds to access logs is kept, in bytes.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/general-helper-methods.html#log-custom-data-method
const maxLogData = 800

// logData is text as access logs have it: escaped, then cut off.
func logData(text string) string {
	escaped := strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
	if len(escaped) <= maxLogData {
		return escaped
	}
	escaped = escaped[:maxLogData]
	if i := strings.LastIndexByte(escaped, '%'); i > maxLogData-3 {
		escaped = escaped[:i]
	}
	return escaped
}

func (m *machine) changeOrigin(method string, args []goja.Value) {
	if m.run.event.Context.EventType != ViewerRequest {
		panic(m.typeError("cf." + method + " can be called by viewer-request functions only"))
	}
	if len(args) == 0 {
		panic(m.typeError("cf." + method + " needs an argument"))
	}
	walk := &walker{m: m}
	plain := make([]any, len(args))
	for i, a := range args {
		plain[i] = walk.plain(a, 0)
	}
	text, err := json.Marshal(plain)
	if err != nil {
		panic(m.typeError("cf." + method + ": " + err.Error()))
	}
	m.run.result.Origins = append(m.run.result.Origins, OriginChange{Method: method, Arguments: text})
}

// kvs is cf.kvs(id). A function can be associated with one store only, so that
// the id, which early examples give, is not looked at.
func (m *machine) kvs(goja.FunctionCall) goja.Value {
	store := m.run.options.KVS
	if store == nil {
		panic(m.plainError(errNoStore))
	}
	o := m.vm.NewObject()
	must(o.Set("get", func(c goja.FunctionCall) goja.Value {
		return m.promise(func() (goja.Value, error) { return m.lookup(store, c.Argument(0).String(), c.Argument(1)) })
	}))
	must(o.Set("exists", func(c goja.FunctionCall) goja.Value {
		return m.promise(func() (goja.Value, error) {
			_, ok := store.Lookup(c.Argument(0).String())
			return m.vm.ToValue(ok), nil
		})
	}))
	must(o.Set("meta", func(goja.FunctionCall) goja.Value {
		return m.promise(func() (goja.Value, error) { return m.storeMeta(store.Meta()), nil })
	}))
	return o
}

// lookup is get(key, {format}) of a store.
func (m *machine) lookup(store Store, key string, options goja.Value) (goja.Value, error) {
	value, ok := store.Lookup(key)
	if !ok {
		return nil, errNoKey
	}
	format := "string"
	if o, ok := options.(*goja.Object); ok {
		if f := o.Get("format"); f != nil && !goja.IsUndefined(f) {
			format = f.String()
		}
	}
	switch format {
	case "string":
		return m.vm.ToValue(value), nil
	case "json":
		return m.parseJSON(value)
	case "bytes":
		from := m.vm.Get("Buffer").(*goja.Object).Get("from")
		call, _ := goja.AssertFunction(from)
		return call(goja.Undefined(), m.vm.ToValue(value))
	}
	return nil, errFormat
}

func (m *machine) parseJSON(text string) (goja.Value, error) {
	parse, _ := goja.AssertFunction(m.vm.Get("JSON").(*goja.Object).Get("parse"))
	return parse(goja.Undefined(), m.vm.ToValue(text))
}

func (m *machine) storeMeta(meta StoreMeta) goja.Value {
	const layout = "2006-01-02T15:04:05.000Z"
	o := m.vm.NewObject()
	must(o.Set("creationDateTime", meta.Created.UTC().Format(layout)))
	must(o.Set("lastUpdatedDateTime", meta.Updated.UTC().Format(layout)))
	must(o.Set("keyCount", meta.Keys))
	return o
}

// promise is one that is settled already.
func (m *machine) promise(f func() (goja.Value, error)) goja.Value {
	promise, resolve, reject := m.vm.NewPromise()
	value, err := f()
	if err == nil {
		must(resolve(value))
		return m.vm.ToValue(promise)
	}
	var reason any = m.plainError(err)
	if thrown, ok := err.(*goja.Exception); ok { //nolint:errorlint // the engine never wraps it
		reason = thrown.Value()
	}
	must(reject(reason))
	return m.vm.ToValue(promise)
}

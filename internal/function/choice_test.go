package function_test

import (
	"reflect"
	"testing"

	"github.com/freshet/freshet/internal/function"
)

// What code does not spell out may be anything; a mention that is no call, too.
func TestChoicesOfOrigins(t *testing.T) {
	const anything = "import cf from 'cloudfront';"
	for code, want := range map[string]function.Choice{
		``: {},
		`import cf from 'cloudfront'; const s = cf.kvs();`:                                                                                                       {},
		`import cf from 'cloudfront'; function a() { cf.selectRequestOriginById('two') }`:                                                                        {IDs: []string{"two"}},
		`import cf from 'cloudfront'; function a(id) { cf.selectRequestOriginById(id) }`:                                                                         {AnyID: true},
		`import cf from 'cloudfront'; function a(id) { cf['selectRequestOriginById']('two') }`:                                                                   {AnyID: true, AnyDomain: true, AnyPath: true},
		`import cf from 'cloudfront'; function a(m) { cf[m]('two') }`:                                                                                            {AnyID: true, AnyDomain: true, AnyPath: true},
		`import cf from 'cloudfront'; function a(m) { const c = cf; c[m]('two') }`:                                                                               {AnyID: true, AnyDomain: true, AnyPath: true},
		`import cf from 'cloudfront'; function a() { const s = cf.selectRequestOriginById; s('two') }`:                                                           {AnyID: true},
		`import cf from 'cloudfront'; function a() { const {updateRequestOrigin: u} = cf; u({}) }`:                                                               {AnyID: true, AnyDomain: true, AnyPath: true},
		`const c = require('cloudfront'); function a() { c.selectRequestOriginById('b') }`:                                                                       {IDs: []string{"b"}},
		`function a() { require('cloudfront').selectRequestOriginById('b') }`:                                                                                    {IDs: []string{"b"}},
		`function a() { const m = 'cloudfront'; require(m)['select' + 'RequestOriginById']('b') }`:                                                               {AnyID: true, AnyDomain: true, AnyPath: true},
		anything + `function a() { cf.createRequestOriginGroup({originIds: ['b', {originId: 'a'}]}) }`:                                                           {IDs: []string{"a", "b"}},
		anything + `function a(x) { cf.createRequestOriginGroup({originIds: ['b', x]}) }`:                                                                        {IDs: []string{"b"}, AnyID: true},
		anything + `function a(x) { cf.createRequestOriginGroup(x) }`:                                                                                            {AnyID: true},
		anything + `function a(x) { cf.updateRequestOrigin({hostHeader: 'h', customHeaders: {a: 'b'}}) }`:                                                        {},
		anything + `function a(x) { cf.updateRequestOrigin({domainName: 'h', originPath: '/' + x}) }`:                                                            {Domains: []string{"h"}, AnyPath: true},
		anything + `function a(x) { cf.updateRequestOrigin({'originPath': '/v2'}) }`:                                                                             {Paths: []string{"/v2"}},
		anything + `function a(domainName) { cf.updateRequestOrigin({domainName}) }`:                                                                             {AnyDomain: true},
		anything + `function a(x) { cf.updateRequestOrigin({[x]: 'h'}) }`:                                                                                        {AnyDomain: true, AnyPath: true},
		anything + `function a(x) { cf.updateRequestOrigin({...x}) }`:                                                                                            {AnyDomain: true, AnyPath: true},
		anything + `function a(x) { cf.updateRequestOrigin(Object.assign({}, x)) }`:                                                                              {AnyDomain: true, AnyPath: true},
		anything + `function a(x) { if (x) { for (;;) { cf.selectRequestOriginById('one'); break } } else x ? cf.selectRequestOriginById(` + "'two'" + `) : 0 }`: {IDs: []string{"one", "two"}},
	} {
		p, err := function.Compile("f", []byte(code+"\nfunction handler(event) { return event.request; }"), function.JS20)
		if err != nil {
			t.Errorf("%s: %v", code, err)
			continue
		}
		if got := p.Choice(); !reflect.DeepEqual(got, want) || got.None() != reflect.DeepEqual(want, function.Choice{}) {
			t.Errorf("%s:\n%+v, want\n%+v", code, got, want)
		}
	}
}

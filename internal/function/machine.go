package function

import (
	_ "embed" // the scripts below
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
)

//go:embed prelude.js
var preludeSource string

//go:embed harden.js
var hardenSource string

// collectSource can be interrupted, other than the engine's own ways to iterate.
const collectSource = `(function (source, count) {
  'use strict';
  const list = [];
  for (const value of source) { count(); list[list.length] = value; }
  return list;
})`

// scripts compiles the three, which are the same for all machines, once.
var scripts = sync.OnceValue(func() [3]*goja.Program {
	var compiled [3]*goja.Program
	for i, source := range []string{preludeSource, hardenSource, collectSource} {
		tree, err := goja.Parse("cloudfront", source, parser.WithDisableSourceMaps)
		if err == nil {
			compiled[i], err = goja.CompileAST(tree, true)
		}
		if err != nil {
			panic(fmt.Sprintf("function: a script of our own: %v", err))
		}
	}
	return compiled
})

// machine is an engine with all that a function may use. One goroutine at a
// time uses it.
type machine struct {
	vm     *goja.Runtime
	modern bool // 2.0
	lists  lists
	// hardened is set if nobody can change what plain lists are made of.
	hardened bool
	main     goja.Callable
	over     goja.Value
	grown    goja.Value
	list     goja.Value // what is spread
	begun    goja.Value
	finish   goja.Callable // reads what the handler returned
	explain  goja.Callable // notes what was thrown
	request  *goja.Object  // the prototype of requests
	run      *run          // the one that is going on
}

// newMachine makes a machine for p, hardened if it is to be used again.
func newMachine(p *Program) (*machine, error) {
	m := &machine{vm: goja.New(), modern: p.runtime == JS20, hardened: !p.alone, run: &run{limits: Limits{}.orDefaults()}}
	m.vm.SetTimeSource(func() time.Time { return m.run.now })
	m.vm.SetMaxCallStackSize(defaultDepth)
	set := m.vm.Get("Set") // the prelude takes it away
	if err := m.prepare(); err != nil {
		return nil, fmt.Errorf("prepare the engine: %w", err)
	}
	if !p.alone {
		if err := m.call(scripts()[1], set); err != nil {
			return nil, fmt.Errorf("harden the engine: %w", err)
		}
	}
	value, err := m.vm.RunProgram(p.body)
	if err != nil {
		return nil, fmt.Errorf("load the function: %w", err)
	}
	m.main, _ = goja.AssertFunction(value)
	return m, nil
}

func (m *machine) prepare() error {
	m.over = m.vm.ToValue(func(goja.FunctionCall) goja.Value { panic(m.stop(errSteps)) })
	m.list = m.vm.ToValue(func(call goja.FunctionCall) goja.Value {
		v := m.listed(call.Argument(0))
		m.boundList(v)
		return v
	})
	m.grown = m.vm.ToValue(func(call goja.FunctionCall) goja.Value {
		v := call.Argument(0)
		m.measure(v)
		return v
	})
	m.begun = m.vm.ToValue(func(call goja.FunctionCall) goja.Value {
		m.run.left, _ = goja.AssertFunction(call.Argument(0))
		m.run.handler, _ = goja.AssertFunction(call.Argument(1))
		return goja.Undefined()
	})
	m.finish, _ = goja.AssertFunction(m.vm.ToValue(func(call goja.FunctionCall) goja.Value {
		m.run.read(call.Argument(0))
		return goja.Undefined()
	}))
	m.explain, _ = goja.AssertFunction(m.vm.ToValue(func(call goja.FunctionCall) goja.Value {
		m.run.thrown, m.run.stack = thrownText(call.Argument(0))
		return goja.Undefined()
	}))
	m.request = m.vm.NewObject()
	raw := func(goja.FunctionCall) goja.Value {
		if q := m.run.event.Request.Raw; q != nil {
			return m.vm.ToValue(*q)
		}
		if q := m.run.event.Request.Query(); q != "" {
			return m.vm.ToValue(q)
		}
		return goja.Undefined()
	}
	if m.modern {
		if err := m.request.Set("rawQueryString", raw); err != nil {
			return err
		}
		if err := m.request.DefineDataProperty("rawQueryString", m.request.Get("rawQueryString"), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE); err != nil {
			return err
		}
	}
	collect, err := m.vm.RunProgram(scripts()[2])
	if err != nil {
		return err
	}
	m.lists.collect, _ = goja.AssertFunction(collect)
	m.guard() // before the prelude, whose own code then uses what is guarded
	return m.call(scripts()[0], m.natives(), m.vm.ToValue(m.modern))
}

// call runs a script whose value is a function, and that function.
func (m *machine) call(script *goja.Program, args ...goja.Value) error {
	value, err := m.vm.RunProgram(script)
	if err != nil {
		return err
	}
	f, _ := goja.AssertFunction(value)
	_, err = f(goja.Undefined(), args...)
	return err
}

// What ends a run from within. A function cannot catch them.
var (
	errSteps  = errors.New("it executed too many statements")
	errMemory = errors.New("it used too much memory")
	errTime   = errors.New("it took too long")
)

// stop ends the run and returns what to panic with, since the engine looks for
// the interruption before its next instruction only.
func (m *machine) stop(why error) goja.Value {
	if m.run.stopped == nil {
		m.run.stopped = why
	}
	m.vm.Interrupt(why)
	return m.vm.ToValue(why.Error())
}

// measure ends the run if a value is too large, or too many large ones were made.
func (m *machine) measure(v goja.Value) {
	switch v := v.(type) {
	case goja.String:
		m.charge(v.Length())
	case *goja.Object:
		if v.ClassName() == "Array" {
			m.charge(int(v.Get("length").ToInteger()) * slot)
		}
	}
}

// slot is what one element of an array takes.
const slot = 16

// churn is how many times over the memory may be filled by what is thrown away
// again.
const churn = 32

func (m *machine) charge(bytes int) {
	m.run.grown += bytes
	if bytes > m.run.limits.Memory || m.run.grown > churn*m.run.limits.Memory {
		panic(m.stop(errMemory))
	}
}

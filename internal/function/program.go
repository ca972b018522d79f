package function

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
)

// Program is a compiled function. It may be run by many goroutines at once; no
// run sees anything that another one did.
type Program struct {
	name     string
	runtime  Runtime
	body     *goja.Program
	findings []Finding
	choice   Choice
	// alone is set if the code seems to change what all runs of a machine share,
	// such as Array.prototype. Each run then gets a machine of its own, which takes
	// some hundred microseconds. Runs that share a machine cannot change it, so
	// what escapes this guess is a TypeError and never a leak.
	alone bool
	idle  chan *machine
}

// maxIdle is how many machines a program keeps for its next runs.
const maxIdle = 16

// boundRegexps gives regular expressions that backtrack a time limit, which
// their library has as a variable of its own only. An expression that gives up
// seems not to match; Run fails whatever took that long.
var boundRegexps = sync.OnceFunc(func() { regexp2.DefaultMatchTimeout = maxTime })

// Compile prepares code for a runtime. name stands in messages. The error is a
// *CompileError: code over 10 KB, a syntax error, const, let or async in 1.0, or
// no function called handler.
func Compile(name string, code []byte, rt Runtime) (*Program, error) {
	boundRegexps()
	fail := func(message string) error { return &CompileError{Name: name, Message: message} }
	switch {
	case !rt.Known():
		return nil, fail("runtime " + strconv.Quote(string(rt)) + " is unknown: there are " + string(JS10) + " and " + string(JS20))
	case len(code) > maxCode:
		return nil, fail(strconv.Itoa(len(code)) + " bytes of code, CloudFront takes " + strconv.Itoa(maxCode))
	}
	// Alone first: inside of the wrapper a stray bracket could close it.
	text, bare, err := parse(name, strings.ToValidUTF8(string(code), "\uFFFD"), rt)
	if err != nil {
		return nil, err
	}
	if _, err := goja.CompileAST(bare, true); err != nil {
		return nil, compileError(name, err)
	}
	p := &Program{name: name, runtime: rt, idle: make(chan *machine, maxIdle)}
	x := examine(bare, rt)
	p.findings, p.alone, p.choice = x.findings, x.alone, choiceOf(bare)
	if !x.handler {
		return nil, fail("there is no function handler")
	}
	for _, f := range p.findings {
		if f.refused {
			return nil, &CompileError{Name: name, Line: f.Line, Column: f.Column, Message: "SyntaxError: " + f.Message}
		}
	}
	p.body, err = wrap(name, text)
	if err != nil {
		return nil, compileError(name, err)
	}
	return p, nil
}

// Name is the name that Compile was given.
func (p *Program) Name() string { return p.name }

// Runtime is the runtime that Compile was given.
func (p *Program) Runtime() Runtime { return p.runtime }

// Findings are the places where the code uses what CloudFront's runtime is not
// known to have, in the order of the code.
func (p *Program) Findings() []Finding { return p.findings }

// Choice is where runs may send requests.
func (p *Program) Choice() Choice { return p.choice }

// The wrapper makes everything that a function declares local to one call, and
// holds the counter that its statements count down. The names are changed to
// ones that no code can spell once it is parsed.
const (
	wrapperHead = "(function(steps,over,grown,list,begun){'use strict';"
	wrapperTail = "\n;begun(function(){return steps},typeof handler==='function'?handler:undefined)})"
)

func wrap(name, text string) (*goja.Program, error) {
	tree, err := goja.Parse(name, wrapperHead+text+wrapperTail, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, err
	}
	outer := tree.Body[0].(*ast.ExpressionStatement).Expression.(*ast.FunctionLiteral)
	for _, b := range outer.ParameterList.List {
		id := b.Target.(*ast.Identifier)
		id.Name = hiddenName(string(id.Name))
	}
	list := outer.Body.List
	last := list[len(list)-1].(*ast.ExpressionStatement).Expression.(*ast.CallExpression)
	last.Callee.(*ast.Identifier).Name = hiddenName("begun")
	counter := last.ArgumentList[0].(*ast.FunctionLiteral)
	counter.Body.List[0].(*ast.ReturnStatement).Argument.(*ast.Identifier).Name = hiddenName("steps")

	meter := newMeter()
	meter.done[counter] = true // reading the counter costs nothing
	meter.statements(&list)
	outer.Body.List = list
	return goja.CompileAST(tree, true)
}

// The engine puts places into its messages: the parser in front, the compiler
// at the end.
var (
	parserPlace   = regexp.MustCompile(`(?s)^(?:SyntaxError: )?[^\n]*?: Line (\d+):(\d+) (.*?)(?: \(and \d+ more errors\))?$`)
	compilerPlace = regexp.MustCompile(`(?s)^(?:SyntaxError: )?(.*?) at [^\n]*:(\d+):(\d+)$`)
)

func compileError(name string, err error) *CompileError {
	text := err.Error()
	e := &CompileError{Name: name, Message: text}
	if m := parserPlace.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Column, _ = strconv.Atoi(m[2])
		e.Message = m[3]
	} else if m := compilerPlace.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[2])
		e.Column, _ = strconv.Atoi(m[3])
		e.Message = m[1]
	}
	e.Message = "SyntaxError: " + strings.TrimPrefix(e.Message, "SyntaxError: ")
	return e
}

// clock is the default of Options.Now.
func clock(now time.Time) time.Time {
	if now.IsZero() {
		return time.Now()
	}
	return now
}

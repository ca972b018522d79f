package function

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/dop251/goja"
)

// run is one call of a function, as the natives of its machine see it.
type run struct {
	event   Event
	options Options
	limits  Limits
	now     time.Time
	handler goja.Callable
	left    goja.Callable // the steps that are left
	grown   int
	stopped error  // why it was ended from within
	thrown  string // what explain found
	stack   string // likewise
	logged  int
	result  Result
	refused *Error // why the value that came back is none
}

// Run calls the function with an event. The error is an *Error, or that of ctx;
// logs and utilization are there in either case. A run is not stopped when ctx
// is cancelled under way, but a deadline of ctx shortens its time.
//
// ev is not modified. Its type decides what may come back: a request or a
// response at viewer-request, a response at viewer-response.
func (p *Program) Run(ctx context.Context, ev Event, opts Options) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	m, err := p.take()
	if err != nil {
		return Result{}, &Error{Kind: ExecutionError, Message: err.Error(), Name: p.name}
	}
	r := &run{event: ev, options: opts, limits: opts.Limits.orDefaults(), now: clock(opts.Now)}
	if r.event.Version == "" {
		r.event.Version = "1.0"
	}
	if deadline, ok := ctx.Deadline(); ok {
		r.limits.Time = min(r.limits.Time, time.Until(deadline))
	}
	m.run = r
	m.vm.SetMaxCallStackSize(r.limits.Depth)
	began, timing := time.Now(), newWatch(m.vm, r.limits.Time)
	err = m.execute(p)
	inTime := timing.end()
	// A regular expression that gave up after that long looks like one that does
	// not match.
	if err == nil && time.Since(began) >= maxTime && !r.limits.patient {
		r.result.Request, r.result.Response = nil, nil
		err = p.exceeded(r, errTime, nil)
	}
	// After an interruption nobody knows what was left half done.
	if inTime && r.stopped == nil && !p.alone && !isUncatchable(err) {
		p.give(m)
	}
	if err != nil {
		return r.result, err
	}
	return r.result, nil
}

// take returns a machine that is idle, or a new one.
func (p *Program) take() (*machine, error) {
	select {
	case m := <-p.idle:
		return m, nil
	default:
		return newMachine(p)
	}
}

// give keeps a machine for the next run, unless enough are kept.
func (p *Program) give(m *machine) {
	m.run = &run{}
	select {
	case p.idle <- m:
	default:
	}
}

// execute evaluates the code, calls its handler and reads what came back.
func (m *machine) execute(p *Program) (err error) {
	r := m.run
	defer func() {
		r.result.Utilization = m.utilization()
	}()
	if _, err := m.main(goja.Undefined(), m.vm.ToValue(r.limits.Steps), m.over, m.grown, m.list, m.begun); err != nil {
		return p.failure(m, err)
	}
	if r.handler == nil {
		return &Error{Kind: ExecutionError, Message: "ReferenceError: handler is not a function", Name: p.name}
	}
	value, err := r.handler(goja.Undefined(), m.eventObject())
	if err != nil {
		return p.failure(m, err)
	}
	if value, err = p.settled(m, value); err != nil {
		return err
	}
	if _, err := m.finish(goja.Undefined(), value); err != nil {
		return p.failure(m, err)
	}
	if r.refused != nil {
		r.refused.Name = p.name
		r.result.Request, r.result.Response = nil, nil
		return r.refused
	}
	return nil
}

// settled returns what a promise was resolved with. The engine has run all jobs
// by now, so that one which is still pending will be so for ever.
func (p *Program) settled(m *machine, value goja.Value) (goja.Value, error) {
	if err := p.stopped(m.run); err != nil {
		return nil, err
	}
	object, ok := value.(*goja.Object)
	if !ok || object.ExportType() != reflect.TypeFor[*goja.Promise]() {
		return value, nil
	}
	promise := object.Export().(*goja.Promise)
	switch promise.State() {
	case goja.PromiseStateFulfilled:
		return promise.Result(), nil
	case goja.PromiseStateRejected:
		return nil, p.thrown(m, promise.Result(), nil)
	}
	return nil, &Error{Kind: ExecutionError, Message: "Error: the promise that handler returned is never resolved", Name: p.name}
}

// stopped is the error of a run that was ended from within, also where that came
// to light in a job after the handler had returned.
func (p *Program) stopped(r *run) error {
	if r.stopped == nil {
		return nil
	}
	return p.exceeded(r, r.stopped, nil)
}

// failure turns what the engine says into an *Error.
func (p *Program) failure(m *machine, err error) error {
	r := m.run
	var interrupted *goja.InterruptedError
	var overflow *goja.StackOverflowError
	var thrown *goja.Exception
	switch {
	case errors.As(err, &interrupted):
		why, ok := interrupted.Value().(error)
		if !ok {
			why = errTime
		}
		return p.exceeded(r, why, interrupted.Stack())
	case r.stopped != nil:
		var stack []goja.StackFrame
		if errors.As(err, &thrown) {
			stack = thrown.Stack()
		}
		return p.exceeded(r, r.stopped, stack)
	case errors.As(err, &overflow):
		e := &Error{Kind: ExecutionError, Message: "RangeError: Maximum call stack size exceeded"}
		p.locate(e, overflow.Stack())
		return e
	case errors.As(err, &thrown):
		return p.thrown(m, thrown.Value(), thrown.Stack())
	}
	return &Error{Kind: ExecutionError, Message: err.Error(), Name: p.name}
}

func (p *Program) exceeded(r *run, why error, stack []goja.StackFrame) error {
	r.stopped = why
	e := &Error{Kind: ThrottledError, Message: "Error: " + why.Error()}
	if errors.Is(why, errMemory) {
		e = &Error{Kind: ExecutionError, Message: "MemoryError: " + why.Error()}
	}
	p.locate(e, stack)
	return e
}

// thrown describes a thrown value the way JavaScript prints it. Where the engine
// has no stack for it, as with a rejected promise, an error's own text has one.
func (p *Program) thrown(m *machine, value goja.Value, stack []goja.StackFrame) error {
	e := &Error{Kind: ExecutionError}
	p.locate(e, stack)
	m.run.thrown = ""
	if _, err := m.explain(goja.Undefined(), value); err != nil {
		if m.run.thrown == "" { // it has a getter that threw, or worse
			m.run.thrown = "a value that cannot be shown"
		}
	}
	e.Message = m.run.thrown
	if e.Line == 0 {
		p.locateText(e, m.run.stack)
	}
	return e
}

// locate finds the innermost place that is in the function's own code.
func (p *Program) locate(e *Error, stack []goja.StackFrame) {
	e.Name = p.name
	for _, frame := range stack {
		at := frame.Position()
		if at.Filename == p.name && at.Line > 0 {
			e.setPlace(at.Line, at.Column)
			return
		}
	}
}

// locateText does the same with the stack property of an error, which is all
// that is left of one that rejected a promise.
func (p *Program) locateText(e *Error, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		i := strings.LastIndex(line, p.name+":")
		if i < 0 {
			continue
		}
		var row, column int
		if n, _ := fmt.Sscanf(line[i+len(p.name):], ":%d:%d", &row, &column); n == 2 {
			e.setPlace(row, column)
			return
		}
	}
}

// setPlace takes the wrapper's part off the first line.
func (e *Error) setPlace(line, column int) {
	if line == 1 {
		column = max(1, column-len(wrapperHead))
	}
	e.Line, e.Column = line, column
}

func isUncatchable(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Kind == ThrottledError || strings.HasPrefix(e.Message, "RangeError: Maximum call stack"))
}

// utilization is the share of the steps that were used, rounded up.
func (m *machine) utilization() int {
	r := m.run
	if errors.Is(r.stopped, errSteps) || errors.Is(r.stopped, errTime) {
		return 100
	}
	if r.left == nil {
		return 0
	}
	m.vm.ClearInterrupt() // or the counter could not be read either
	left, err := r.left(goja.Undefined())
	if err != nil {
		return 100
	}
	used := r.limits.Steps - int(left.ToInteger())
	return min(100, (used*100+r.limits.Steps-1)/r.limits.Steps)
}

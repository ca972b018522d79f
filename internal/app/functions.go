package app

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/distribution/load"
	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/function"
)

// scripts are the functions that behaviors may name: those of the configuration
// and of the distributions' files, and then those that were published through
// the API. It may be used by several goroutines.
type scripts struct {
	configured atomic.Pointer[map[string]script]         // by ARN; the map is never changed
	published  func(arn string) (api.LiveFunction, bool) // nil for none
	stored     func(arn string) (api.Store, bool)        // key value stores of the published ones; nil for none

	mu      sync.Mutex
	kept    map[string]compiled        // by ARN, what was compiled last of the published ones
	choices map[string]function.Choice // by ARN, what any version of the code could choose
}

// script is a function with its key value store, nil for none.
type script struct {
	program *function.Program
	store   function.Store
	source  string // runtime and code
}

// compiled is what became of the code of a published function.
type compiled struct {
	code    []byte
	runtime string
	program *function.Program
	err     error
}

func newScripts(configured map[string]script) *scripts {
	s := &scripts{kept: make(map[string]compiled), choices: make(map[string]function.Choice)}
	s.configured.Store(&configured)
	return s
}

// readScripts reads and compiles the functions of a configuration, by ARN.
func readScripts(functions []config.Function, log *slog.Logger) (map[string]script, error) {
	scripts := make(map[string]script)
	for _, f := range functions {
		read, err := readScript(f)
		if err != nil {
			return nil, fmt.Errorf("read function %s: %w", f.Name, err)
		}
		for _, found := range read.program.Findings() {
			log.Warn("a function uses what CloudFront is not known to have", slog.String("file", f.File), slog.String("finding", found.String()))
		}
		scripts[f.FullARN()] = read
	}
	return scripts, nil
}

// addDescribed compiles the functions of the distributions' files, where the
// configuration has none of the ARN. Only what is used has to compile.
func addDescribed(scripts map[string]script, functions []load.Function, used func(arn string) bool, log *slog.Logger) error {
	for _, f := range functions {
		if _, there := scripts[f.ARN]; there {
			continue
		}
		runtime := cmp.Or(function.Runtime(f.Runtime), function.JS20)
		program, err := function.Compile(f.Name, []byte(f.Code), runtime)
		var store function.Store
		if err == nil && f.Store != nil && f.Store.Pairs != nil {
			if store, err = function.ParseStore(f.Store.Pairs); err != nil {
				err = fmt.Errorf("read %s: %w", f.Store.File, err)
			}
		}
		switch {
		case err != nil && used(f.ARN):
			return fmt.Errorf("%s: %s: read function %s: %w", f.File, f.Path, f.Name, err)
		case err != nil:
			log.Warn("a function that nothing uses is left out", slog.String("file", f.File), slog.String("function", f.Name), slog.Any("error", err))
			continue
		}
		for _, found := range program.Findings() {
			log.Warn("a function uses what CloudFront is not known to have", slog.String("file", f.File), slog.String("function", f.Name), slog.String("finding", found.String()))
		}
		scripts[f.ARN] = script{program: program, store: store, source: string(runtime) + "\n" + f.Code}
	}
	return nil
}

func readScript(f config.Function) (script, error) {
	code, err := os.ReadFile(f.File)
	if err != nil {
		return script{}, err
	}
	program, err := function.Compile(f.Name, code, f.UsedRuntime())
	source := string(f.UsedRuntime()) + "\n" + string(code)
	if err != nil || f.KVS == "" {
		return script{program: program, source: source}, err
	}
	text, err := os.ReadFile(f.KVS)
	if err != nil {
		return script{}, err
	}
	store, err := function.ParseStore(text)
	if err != nil {
		return script{}, fmt.Errorf("read %s: %w", f.KVS, err)
	}
	return script{program: program, store: store, source: source}, nil
}

// find is edge.Functions.
func (s *scripts) find(arn string) (*function.Program, function.Store, error) {
	if f, ok := (*s.configured.Load())[arn]; ok {
		return f.program, f.store, nil
	}
	if s.published != nil {
		if live, ok := s.published(arn); ok {
			program, err := s.compile(live)
			return program, s.storeOf(live), err
		}
	}
	return nil, nil, fmt.Errorf("the code of %s is not known: name its file under functions in the configuration", arn)
}

// storeOf returns the key value store of a published function as it is now; nil
// for none.
func (s *scripts) storeOf(f api.LiveFunction) function.Store {
	if len(f.Stores) == 0 || s.stored == nil {
		return nil
	}
	found, ok := s.stored(f.Stores[0])
	if !ok {
		return nil
	}
	return function.Table{Pairs: found.Pairs, Created: found.Created, Updated: found.Edited}
}

// compile compiles a published function once, until it is published again.
func (s *scripts) compile(f api.LiveFunction) (*function.Program, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.kept[f.ARN]; ok && was.runtime == f.Runtime && bytes.Equal(was.code, f.Code) {
		return was.program, was.err
	}
	made := compiled{code: f.Code, runtime: f.Runtime}
	if made.program, made.err = function.Compile(f.Name, f.Code, function.Runtime(f.Runtime)); made.err != nil {
		// CloudFront throttles what does not compile.
		made.err = &function.Error{Kind: function.ThrottledError, Message: strings.TrimSpace(made.err.Error()), Name: f.Name}
	}
	s.kept[f.ARN] = made
	return made.program, made.err
}

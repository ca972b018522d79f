package load

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Function is a CloudFront function with its code.
type Function struct {
	ARN     string // by which behaviors name it
	Name    string
	Code    string
	Runtime string         // empty: it is not said
	Store   *KeyValueStore // nil: it has none
	File    string         // that describes it
	Path    string
}

// KeyValueStore is what a function looks things up in.
type KeyValueStore struct {
	ARN   string
	Name  string
	Pairs []byte // in JSON; nil: they are not known
	Why   string // they are not known, or empty
	File  string // with the pairs; empty: there is none
}

// functionText is a function as templates describe it, and in our own form.
type functionText struct {
	_ struct{} `known:"AutoPublish FunctionMetadata FunctionConfig.Comment Tags Status Stage"`

	ID           string     `json:"Id"`
	Name         string     `json:"Name"`
	FunctionCode string     `json:"FunctionCode"`
	Runtime      string     `json:"Runtime" also:"FunctionConfig.Runtime"`
	Stores       []storeRef `json:"KeyValueStoreAssociations" also:"FunctionConfig.KeyValueStoreAssociations"`
}

type storeRef struct {
	ARN string `json:"KeyValueStoreARN"`
}

// storeText is a key value store in the same forms.
type storeText struct {
	_ struct{} `known:"Comment Tags"`

	ID           string            `json:"Id"`
	Name         string            `json:"Name"`
	ImportSource storeImportSource `json:"ImportSource"`
}

type storeImportSource struct {
	SourceType string `json:"SourceType"`
	SourceARN  string `json:"SourceArn"`
}

// functionFound is a function before its store was looked for.
type functionFound struct {
	Function
	store string // ARN; empty for none
}

func (v visit) function(m map[string]any, path string) {
	f, ok := decoded[functionText](v, m, path)
	if !ok {
		return
	}
	if f.FunctionCode == "" {
		v.gap(v.file, path, "the function has no code here")
		return
	}
	found := functionFound{Function: Function{Name: f.Name, Code: f.FunctionCode, Runtime: f.Runtime, File: v.file, Path: path}}
	if len(f.Stores) > 0 {
		found.store = f.Stores[0].ARN
	}
	id := f.ID
	if id == "" {
		id = "arn:aws:cloudfront::" + cmp.Or(v.options.AccountID, "000000000000") + ":function/" + f.Name
	}
	v.functions = append(v.functions, at(v, found, path, id, f.Name))
}

func (v visit) store(m map[string]any, path string) {
	s, ok := decoded[storeText](v, m, path)
	if !ok {
		return
	}
	store := KeyValueStore{ARN: s.ID, Name: s.Name}
	source := s.ImportSource.SourceARN
	given := v.options.KeyValueStores
	store.File = cmp.Or(given[v.logicalID()], given[s.Name], v.assets()[source[strings.LastIndexByte(source, '/')+1:]])
	v.readPairs(&store, source)
	if store.Why != "" {
		v.gap(v.file, path, "the pairs of key value store %s are not known (%s), and functions find nothing there: give a JSON file of them as kvs %s", cmp.Or(s.Name, v.logicalID()), store.Why, cmp.Or(v.logicalID(), s.Name))
	}
	v.stores = append(v.stores, at(v, store, path, s.ID, s.Name))
}

func (v visit) readPairs(s *KeyValueStore, source string) {
	switch {
	case s.File != "":
		text, err := v.readFile(s.File)
		if err != nil {
			s.Why = err.Error()
			return
		}
		s.Pairs = text
	case source != "":
		s.Why = fmt.Sprintf("they are in %s", source)
	default:
		s.Pairs, s.Why = []byte("{}"), "the store begins empty"
	}
}

// logicalID is of the template's resource that is read, and empty elsewhere.
func (v visit) logicalID() string {
	if v.nested == nil {
		return ""
	}
	return v.nested.LogicalID
}

// finishFunctions gives functions their stores.
func (r *reader) finishFunctions() (out []Function) {
	for _, p := range r.functions {
		f := p.value.Function
		f.ARN = p.id
		f.Name = cmp.Or(f.Name, f.ARN[strings.LastIndexByte(f.ARN, '/')+1:])
		if s, ok := r.stores.lookUp(p.value.store, p.scope); ok {
			f.Store = &s.value
		} else if p.value.store != "" {
			f.Store = &KeyValueStore{ARN: p.value.store, Why: "it is not among what was read"}
			r.gap(p.file, p.path, "key value store %s is not among what was read, and the function fails where it looks there", p.value.store)
		}
		out = append(out, f)
	}
	return out
}

// beside returns a path that a file names, from where that is.
func beside(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

func isFile(path string) bool {
	stat, err := os.Stat(path)
	return err == nil && stat.Mode().IsRegular()
}

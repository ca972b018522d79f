package cloudformation

import (
	"maps"
	"slices"
)

// Exports are values that stacks export, by name, for other templates to
// import. The nil map has none.
type Exports map[string]Export

// Export is what one template exports.
type Export struct {
	value    any
	symbols  []symbol
	warnings []Warning
}

// AddFrom adds what a template exports as far as it can be resolved. To find
// what one template exports that it has imported itself, add from all templates
// twice.
func (e Exports) AddFrom(tree any, o Options) {
	o.Exports = e
	root, _ := tree.(map[string]any)
	outputs, _ := root["Outputs"].(map[string]any)
	for _, id := range slices.Sorted(maps.Keys(outputs)) {
		output, _ := outputs[id].(map[string]any)
		export, _ := output["Export"].(map[string]any)
		if export == nil {
			continue
		}
		r := newResolver(tree, o)
		name, ok := plainText(r.decisive(r.value(export["Name"], "Outputs."+id+".Export.Name", 0)))
		v := r.value(output["Value"], "Outputs."+id+".Value", 0)
		if ok && r.err() == nil {
			e[name] = Export{value: v, symbols: r.symbols, warnings: r.warnings}
		}
	}
}

func (r *resolver) importValue(argument any, path string, depth int) any {
	name, ok := r.exactText(argument, path, depth)
	if !ok {
		return broken{}
	}
	if given, ok := r.o.Resources[name]; ok {
		return given
	}
	x, ok := r.o.Exports[name]
	if !ok {
		return r.wanting(name, path, "%q is exported by another stack: give that template as well, or the value as resource %s", name, name)
	}
	for _, w := range x.warnings {
		r.warn(w.Path, "%s", w.Text)
	}
	return r.adopt(x)
}

// adopt gives a text that was resolved elsewhere marks of this resolver.
func (r *resolver) adopt(x Export) any {
	s, ok := x.value.(string)
	if !ok {
		return x.value
	}
	var out []rune
	for _, c := range s {
		if i := int(c - firstMark); isMark(c) && i < len(x.symbols) {
			out = append(out, []rune(r.mark(x.symbols[i]))...)
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

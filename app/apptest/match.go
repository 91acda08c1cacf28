package apptest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Values are what encoding/json knows: nil, bool, float64, string, []any, map[string]any.

// differences says where a value does not fit what is wanted of it, one line each: all fields that are wanted are there
// and fit; an empty table fits any table; an array has as many elements, and each fits; null also fits what is not
// there.
func differences(want, got any) (all []string) { return appendDifferences(nil, "", want, got, true) }

// unequal is differences for two values that are to be the same.
func unequal(want, got any) (all []string) { return appendDifferences(nil, "", want, got, false) }

func appendDifferences(all []string, path string, want, got any, part bool) []string {
	differ := func() []string {
		return append(all, fmt.Sprintf("%sexpected %s, got %s", place(path), compact(want), compact(got)))
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if list, isList := got.([]any); len(w) == 0 && isList && (part || len(list) == 0) {
			return all // {} in Lua is both
		}
		if !ok {
			return differ()
		}
		return appendFields(all, path, w, g, part)
	case []any:
		g, ok := got.([]any)
		if object, isObject := got.(map[string]any); len(w) == 0 && isObject && len(object) == 0 && !part {
			return all
		}
		if !ok {
			return differ()
		}
		if len(w) != len(g) {
			return append(all, fmt.Sprintf("%sexpected %d elements, got %d: %s", place(path), len(w), len(g), compact(got)))
		}
		for i := range w {
			all = appendDifferences(all, fmt.Sprintf("%s[%d]", path, i+1), w[i], g[i], part)
		}
		return all
	}
	if !reflect.DeepEqual(want, got) {
		return differ()
	}
	return all
}

func appendFields(all []string, path string, want, got map[string]any, part bool) []string {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		inner := strings.TrimPrefix(path+"."+name, ".")
		value, ok := got[name]
		switch {
		case ok:
			all = appendDifferences(all, inner, want[name], value, part)
		case !part || want[name] != nil:
			all = append(all, fmt.Sprintf("%sexpected %s, is not there", place(inner), compact(want[name])))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok && !part {
			all = append(all, fmt.Sprintf("%snot expected, got %s", place(strings.TrimPrefix(path+"."+name, ".")),
				compact(got[name])))
		}
	}
	return all
}

func place(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// compact is a value as JSON in one line.
func compact(v any) string {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

package docs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sameValue compares a value of the page with a printed one.
func sameValue(at string, want, got any) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		return sameObject(at, w, g)
	case []any:
		g, ok := got.([]any)
		if !ok {
			break
		}
		return sameArray(at, w, g)
	case string:
		if w == "…" {
			return nil
		}
		if g, ok := got.(string); ok && matches(w, g) {
			return nil
		}
	case json.Number:
		if g, ok := got.(json.Number); ok && (w == g || large(w) && large(g)) {
			return nil
		}
	default:
		if want == got {
			return nil
		}
	}
	return fmt.Errorf("%s is %v, not %v", strings.TrimPrefix(at, "."), got, want)
}

func sameObject(at string, want, got map[string]any) error {
	_, open := want["…"]
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if name == "…" {
			continue
		}
		g, ok := got[name]
		if !ok {
			return fmt.Errorf("%s.%s is missing", at, name)
		}
		if err := sameValue(at+"."+name, want[name], g); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok && !open {
			return fmt.Errorf("the page does not show %s.%s", at, name)
		}
	}
	return nil
}

func sameArray(at string, want, got []any) error {
	if n := len(want); n > 0 && want[n-1] == "…" && len(got) >= n-1 {
		want, got = want[:n-1], got[:n-1]
	}
	if len(want) != len(got) {
		return fmt.Errorf("%s has %d elements, not %d", at, len(got), len(want))
	}
	for i := range want {
		if err := sameValue(fmt.Sprintf("%s[%d]", at, i), want[i], got[i]); err != nil {
			return err
		}
	}
	return nil
}

// large numbers are times and versions.
func large(n json.Number) bool {
	v, err := strconv.ParseFloat(n.String(), 64)
	return err == nil && v >= 1e9
}

// kinds are what differs from run to run.
var kinds = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}` +
	`|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)` +
	`|\b[0-9a-f]{12}\b|\b\d{10,}\b|127\.0\.0\.1:\d+`)

// matches compares texts; "…" in want stands for anything.
func matches(want, got string) bool {
	kind := func(s string) string {
		switch {
		case strings.HasPrefix(s, "127."):
			return "<address>"
		case len(s) == 36:
			return "<uuid>"
		case strings.Contains(s, "T"):
			return "<time>"
		}
		if _, err := strconv.ParseUint(s, 10, 64); err == nil && len(s) != 12 {
			return "<number>"
		}
		return "<node>"
	}
	want, got = kinds.ReplaceAllStringFunc(want, kind), kinds.ReplaceAllStringFunc(got, kind)
	if !strings.Contains(want, "…") {
		return want == got
	}
	parts := strings.Split(want, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$").MatchString(got)
}

// The comparison says no where it must: else the pages could say anything.
func TestComparison(t *testing.T) {
	for _, tt := range []struct {
		name, want, got string
		ok              bool
	}{
		{"spacing", `{"a": [1, 2]}`, "{\n\"a\":[1,2]}\n", true},
		{"another value", `{"a":1}`, `{"a":2}`, false},
		{"another type", `{"a":1}`, `{"a":"1"}`, false},
		{"a member more", `{"a":1}`, `{"a":1,"b":2}`, false},
		{"a member less", `{"a":1,"b":2}`, `{"a":1}`, false},
		{"further members", `{"a":1,"…":0}`, `{"a":1,"b":2}`, true},
		{"an element more", `[1]`, `[1,2]`, false},
		{"further elements", `[1,"…"]`, `[1,2,3]`, true},
		{"anything", `{"a":"…"}`, `{"a":{"b":1}}`, true},
		{"inside a string", `{"a":"no … here"}`, `{"a":"no such thing here"}`, true},
		{"inside a string, wrong", `{"a":"no … here"}`, `{"a":"no such thing"}`, false},
		{"ids", `{"id":"0190c8e2-7a1b-8c3d-9e4f-5a6b7c8d9e0f"}`, `{"id":"ffffffff-0000-8000-8000-000000000000"}`, true},
		{"no id", `{"id":"0190c8e2-7a1b-8c3d-9e4f-5a6b7c8d9e0f"}`, `{"id":"x"}`, false},
		{"times", `{"at":"2026-01-02T03:04:05Z"}`, `{"at":"2027-01-02T03:04:05.123+02:00"}`, true},
		{"versions", `{"v":1767225600123}`, `{"v":1800000000000}`, true},
		{"a small number is none", `{"v":1767225600123}`, `{"v":7}`, false},
		{"a document more", `1`, `1 2`, false},
		{"null", `{"a":null}`, `{"a":false}`, false},
		{"no JSON", `{}`, `<html>`, false},
	} {
		if err := sameJSON(tt.want, tt.got); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, tt := range []struct {
		name, want, got string
		ok              bool
	}{
		{"the same", "a\nb\n", "a\nb", true},
		{"a line more", "a", "a\nb", false},
		{"a line less", "a\nb", "a", false},
		{"further lines", "a\n…", "a\nb\nc", true},
		{"an id", "closed 0190c8e2-7a1b-8c3d-9e4f-5a6b7c8d9e0f", "closed ffffffff-0000-8000-8000-000000000000", true},
		{"another line", "a", "b", false},
	} {
		if err := sameText(tt.want, tt.got); (err == nil) != tt.ok {
			t.Errorf("text, %s: %v", tt.name, err)
		}
	}
}

package app

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// SPEC 1.2: "Static segments win over dynamic ones"; SPEC 6: "path segments are percent-decoded; a trailing slash is
// another path … the leftmost static segment wins".
func TestTreeFindsTheRightPattern(t *testing.T) {
	tests := []struct {
		name     string
		patterns []string
		path     string
		want     string // "" = none
		params   string // name=value, comma separated
	}{
		{"root", []string{"/", "/a"}, "/", "/", ""},
		{"static", []string{"/ws/chat", "/ws/:x"}, "/ws/chat", "/ws/chat", ""},
		{"static added later", []string{"/ws/:x", "/ws/chat"}, "/ws/chat", "/ws/chat", ""},
		{"dynamic", []string{"/ws/chat", "/ws/:x"}, "/ws/chats", "/ws/:x", "x=chats"},
		{"leftmost static wins", []string{"/a/:x/c", "/a/b/:y"}, "/a/b/c", "/a/b/:y", "y=c"},
		{"back out of a static dead end", []string{"/a/b/d", "/a/:x/c"}, "/a/b/c", "/a/:x/c", "x=b"},
		{"two params", []string{"/r/:a/:b"}, "/r/1/2", "/r/:a/:b", "a=1,b=2"},
		{"percent-decoded", []string{"/r/:a"}, "/r/a%2Fb%20c", "/r/:a", "a=a/b c"},
		{"decoded static", []string{"/grün"}, "/gr%C3%BCn", "/grün", ""},
		{"plus stays plus", []string{"/r/:a"}, "/r/a+b", "/r/:a", "a=a+b"},
		{"trailing slash is another path", []string{"/r"}, "/r/", "", ""},
		{"trailing slash registered", []string{"/r", "/r/"}, "/r/", "/r/", ""},
		{"a param is not empty", []string{"/r/:a"}, "/r/", "", ""},
		{"too long", []string{"/r/:a"}, "/r/1/2", "", ""},
		{"too short", []string{"/r/:a"}, "/r", "", ""},
		{"case matters", []string{"/Room"}, "/room", "", ""},
		{"dots are text", []string{"/r/:a"}, "/r/..", "/r/:a", "a=.."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var tr tree[pattern]
			for _, s := range tt.patterns {
				p, err := parsePattern(s)
				if err != nil {
					t.Fatal(err)
				}
				if tr.add(p, &p) != nil {
					t.Fatalf("%s conflicts", s)
				}
			}
			path, err := splitPath(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			got := tr.find(path)
			if got == nil {
				if tt.want != "" {
					t.Fatalf("found nothing, want %s", tt.want)
				}
				return
			}
			var params []string
			for _, p := range got.params(path) {
				params = append(params, p.name+"="+p.value)
			}
			if got.text != tt.want || strings.Join(params, ",") != tt.params {
				t.Fatalf("found %s with %v, want %s with %s", got.text, params, tt.want, tt.params)
			}
		})
	}
}

// SPEC 1.2: "two routes that match the same paths are an error at start".
func TestSameShapeConflicts(t *testing.T) {
	tests := []struct {
		a, b string
		same bool
	}{
		{"/a", "/a", true},
		{"/a/:x", "/a/:y", true},
		{"/a/:x/c", "/a/:y/c", true},
		{"/a/:x/c", "/a/b/:y", false},
		{"/a", "/a/", false},
		{"/a/:x", "/a/x", false},
	}
	for _, tt := range tests {
		t.Run(tt.a+" "+tt.b, func(t *testing.T) {
			a, _ := parsePattern(tt.a)
			b, _ := parsePattern(tt.b)
			var tr tree[pattern]
			tr.add(a, &a)
			if got := tr.add(b, &b) != nil; got != tt.same {
				t.Fatalf("conflict %v, want %v", got, tt.same)
			}
			if got := a.shape() == b.shape(); got != tt.same {
				t.Fatalf("same shape %v, want %v", got, tt.same)
			}
		})
	}
}

func TestBadPatterns(t *testing.T) {
	for text, want := range map[string]string{
		"":         "does not begin with a slash",
		"a":        "does not begin with a slash",
		"/a//b":    "empty segment",
		"/:":       "no parameter name",
		"/:1a":     "no parameter name",
		"/:a-b":    "no parameter name",
		"/:a/:a":   "twice",
		"/a/../b":  `segment ".."`,
		"/a?x":     "has the character",
		"/a\nb":    "has the character",
		"/a\xffb":  "not UTF-8",
		"/a/./b":   `segment "."`,
		"/a/:x/#y": "has the character",
	} {
		if _, err := parsePattern(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestSplitPath(t *testing.T) {
	tests := []struct {
		in   string
		want []string // nil = error
	}{
		{"/", []string{""}},
		{"/a/b", []string{"a", "b"}},
		{"/a/", []string{"a", ""}},
		{"/a%2fb", []string{"a/b"}},
		{"/a%zz", nil},
		{"/%ff", nil},
		{"a", nil},
		{"*", nil},
	}
	for _, tt := range tests {
		got, err := splitPath(tt.in)
		if (err != nil) != (tt.want == nil) || !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

// The tree finds what comparing every pattern finds: of those that match, the one whose first static segment is
// leftmost.
func TestTreeAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segment := rapid.SampledFrom([]string{"a", "b", ":x", ":y", ":z"})
		texts := rapid.SliceOfN(rapid.SliceOfN(segment, 1, 4), 1, 12).Draw(t, "patterns")
		var tr tree[pattern]
		var all []*pattern
		for _, parts := range texts {
			p, err := parsePattern("/" + strings.Join(parts, "/"))
			if err == nil && tr.add(p, &p) == nil {
				all = append(all, &p)
			}
		}
		path := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 4).Draw(t, "path")
		var want *pattern
		for _, p := range all {
			if p.matches(path) && (want == nil || p.before(want)) {
				want = p
			}
		}
		if got := tr.find(path); got != want {
			t.Fatalf("found %v, want %v", got, want)
		}
	})
}

func (p *pattern) matches(path []string) bool {
	if len(p.segments) != len(path) {
		return false
	}
	for i, s := range p.segments {
		if !s.param && s.text != path[i] {
			return false
		}
	}
	return true
}

func (p *pattern) before(o *pattern) bool {
	for i, s := range p.segments {
		if s.param != o.segments[i].param {
			return !s.param
		}
	}
	return false
}

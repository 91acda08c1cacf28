package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Issue 3: "channel permissions from the claim channels (patterns such as room:*)".
func TestPermissions(t *testing.T) {
	tests := []struct {
		name, claim, channel string
		want                 bool
	}{
		{"exact", `["user:42"]`, "user:42", true},
		{"longer", `["user:42"]`, "user:421", false},
		{"shorter", `["user:42"]`, "user:4", false},
		{"prefix", `["room:*"]`, "room:lobby", true},
		{"prefix and nothing", `["room:*"]`, "room:", true},
		{"prefix is not all", `["room:*"]`, "room", false},
		{"across colons", `["room:*"]`, "room:a:b/c", true},
		{"prefix only at the begin", `["room:*"]`, "bedroom:1", false},
		{"all", `["*"]`, "anything", true},
		{"suffix", `["*:public"]`, "room:public", true},
		{"suffix missed", `["*:public"]`, "room:public2", false},
		{"middle", `["room:*:chat"]`, "room:a:b:chat", true},
		{"middle needs both ends", `["ab*ba"]`, "aba", false},
		{"middle, nothing between", `["ab*ba"]`, "abba", true},
		{"two stars", `["a*b*c"]`, "a-b-b-c", true},
		{"two stars missed", `["a*b*c"]`, "a-c-b", false},
		{"stars in a row", `["a**"]`, "a", true},
		{"case counts", `["Room:*"]`, "room:1", false},
		{"second pattern", `["a","b"]`, "b", true},
		{"a channel with a star", `["a"]`, "*", false},
		{"no escape", `["a\\*"]`, "a*", false},
		{"empty pattern", `[""]`, "", false},
		{"empty pattern is not all", `[""]`, "a", false},
		{"no patterns", `[]`, "a", false},
		{"a string", `"*"`, "a", false},
		{"an object", `{"*":{}}`, "a", false},
		{"null", `null`, "a", false},
		{"null in it", `["*",null]`, "a", false},
		{"a number in it", `["*",1]`, "a", false},
		{"no claim", ``, "a", false},
		{"runes", `["räume:*"]`, "räume:ü", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var claim []byte
			if tt.claim != "" {
				claim = []byte(tt.claim)
			}
			p := newPermissions(claim)
			for v := ToJoin; v <= ToWatch; v++ {
				if got := p.Allows(v, tt.channel); got != tt.want {
					t.Errorf("Allows(%v, %q) = %v", v, tt.channel, got)
				}
				err := p.Check(v, tt.channel)
				if (err == nil) != tt.want {
					t.Errorf("Check(%v, %q) = %v", v, tt.channel, err)
				}
				if err != nil && !strings.HasPrefix(err.Error(), `channel "`+tt.channel+`" is not allowed`) {
					t.Errorf("text %q does not name the channel", err)
				}
			}
		})
	}
	if (Permissions{}).Allows(ToJoin, "a") {
		t.Error("the zero value allows a channel")
	}
}

// SPEC 11: "the claim channels may also be {join = […], track = […], publish = […], watch = […]}".
func TestPermissionsByVerb(t *testing.T) {
	all := map[string]string{"join": "", "track": "", "publish": "", "watch": ""} // why not; "": it is allowed
	refused := func(why string) map[string]string {
		return map[string]string{"join": why, "track": why, "publish": why, "watch": why}
	}
	const byToken = "by the token"
	for name, tt := range map[string]struct {
		claim string
		want  map[string]string
	}{
		"each its own": {`{"join":["room:*"],"track":["room:1"],"publish":["room:2"],"watch":["*"]}`,
			map[string]string{"join": "", "track": "", "publish": byToken, "watch": ""}},
		"all": {`{"join":["*"],"track":["*"],"publish":["*"],"watch":["*"]}`, all},
		"one alone": {`{"join":["room:1"]}`, map[string]string{"join": "", "track": "has no track",
			"publish": "has no publish", "watch": "has no watch"}},
		"none": {`{"join":[],"track":[],"publish":[],"watch":[]}`, refused(byToken)},
		"an object that is empty": {`{}`, map[string]string{"join": "has no join", "track": "has no track",
			"publish": "has no publish", "watch": "has no watch"}},
		"one that is bad": {`{"join":"room:1","track":["room:1",null],"publish":{"*":true},"watch":["room:1"]}`,
			map[string]string{"join": "channels.join is no array of strings", "track": "channels.track is no array",
				"publish": "channels.publish is no array", "watch": ""}},
		"a verb in another case": {`{"Join":["*"],"JOIN":["*"]}`, refused("has no ")},
		"verbs that nobody knows": {`{"*":["*"],"":["*"],"admin":["*"],"join":["room:1"]}`,
			map[string]string{"join": "", "track": "has no track", "publish": "has no publish", "watch": "has no watch"}},
		"a verb twice": {`{"join":["room:2"],"join":["*"]}`, refused("no array of strings, nor an object")},
		"a number":     {`1`, refused("no array of strings, nor an object")},
		"null":         {`null`, refused("no array of strings, nor an object")},
	} {
		p := newPermissions([]byte(tt.claim))
		for verb, why := range tt.want {
			v, ok := VerbOf(verb)
			if !ok || v.String() != verb {
				t.Fatalf("%q is %v, %v", verb, v, ok)
			}
			err := p.Check(v, "room:1")
			if (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %s: %v, want %q", name, verb, err, why)
			}
		}
		for _, none := range []Verb{0, verbs, 255} {
			if err := p.Check(none, "room:1"); err == nil || none.String() != "" {
				t.Errorf("%s: verb %d is allowed", name, none)
			}
		}
	}
	for _, name := range []string{"", "Join", "leave", "*"} {
		if v, ok := VerbOf(name); ok {
			t.Errorf("%q is the verb %v", name, v)
		}
	}
}

func TestRequire(t *testing.T) {
	nobody := Anonymous()
	ann := Identity{Authenticated: true, Roles: []string{"editor"}}
	root := Identity{Authenticated: true, Roles: []string{"x", "admin"}}
	for _, tt := range []struct {
		name      string
		got       error
		want      string
		anonymous bool
	}{
		{"nobody", nobody.RequireAuth(), "a token is required", true},
		{"nobody, of a role", nobody.RequireRole("editor"), "a token is required", true},
		{"ann", ann.RequireAuth(), "", false},
		{"ann, of her role", ann.RequireRole("editor"), "", false},
		{"ann, of another", ann.RequireRole("Editor"), `the role "Editor" is required`, false},
		{"ann, of admin", ann.RequireRole("admin"), `the role "admin" is required`, false},
		{"an admin, of any", root.RequireRole("editor"), "", false},
	} {
		var denied *DeniedError
		switch {
		case tt.want == "" && tt.got != nil:
			t.Errorf("%s: %v", tt.name, tt.got)
		case tt.want != "" && (!errors.As(tt.got, &denied) || denied.Text != tt.want || denied.Anonymous != tt.anonymous):
			t.Errorf("%s: %v, want %s", tt.name, tt.got, tt.want)
		}
	}
}

// matchSlow is the plain definition that match must agree with.
func matchSlow(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		return matchSlow(pattern[1:], s) || s != "" && matchSlow(pattern, s[1:])
	}
	return s != "" && s[0] == pattern[0] && matchSlow(pattern[1:], s[1:])
}

func TestMatchAgreesWithDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*]{1,8}`).Draw(t, "pattern")
		channel := rapid.StringMatching(`[ab]{0,10}`).Draw(t, "channel")
		if got, want := match(pattern, channel), matchSlow(pattern, channel); got != want {
			t.Fatalf("match(%q, %q) = %v, want %v", pattern, channel, got, want)
		}
	})
}

func TestMatchIsLinear(t *testing.T) {
	pattern, channel := strings.Repeat("*a", 2000)+"*b", strings.Repeat("a", 4000)
	start := time.Now()
	for range 100 {
		if match(pattern, channel) {
			t.Fatal("matched")
		}
	}
	// 100 x 8,000 bytes; one that backtracks would not end at all.
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

package auth

import (
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
			if got := p.Allows(tt.channel); got != tt.want {
				t.Errorf("Allows(%q) = %v", tt.channel, got)
			}
			err := p.Check(tt.channel)
			if (err == nil) != tt.want {
				t.Errorf("Check(%q) = %v", tt.channel, err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), `channel "`+tt.channel+`" is not allowed`) {
				t.Errorf("text %q does not name the channel", err)
			}
		})
	}
	if (Permissions{}).Allows("a") {
		t.Error("the zero value allows a channel")
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

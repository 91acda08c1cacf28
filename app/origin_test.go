package app

import (
	"strings"
	"testing"
)

// SPEC 4: "No Origin header: allowed; null: 403. Route origins replace the global list; same host (host and port) is
// always allowed … otherwise 403."
func TestOriginAllowed(t *testing.T) {
	tests := []struct {
		name, origin, host string
		tls                bool
		allowed            string
		want               bool
	}{
		{"no origin", "", "a.example", false, "", true},
		{"null", "null", "a.example", false, "", false},
		{"null even with a star", "null", "a.example", false, "*", false},
		{"same host", "https://a.example", "a.example", false, "", true},
		{"same host, other case", "https://A.Example", "a.example", false, "", true},
		{"same host and port", "http://localhost:6745", "localhost:6745", false, "", true},
		{"other port", "http://localhost:3000", "localhost:6745", false, "", false},
		{"usual port left out", "http://a.example", "a.example:80", false, "", true},
		{"usual https port behind a balancer", "https://a.example", "a.example:443", false, "", true},
		{"http page, https server", "http://a.example", "a.example:443", true, "", false},
		{"other host", "https://b.example", "a.example", false, "", false},
		{"suffix is another host", "https://xa.example", "a.example", false, "", false},
		{"listed", "https://b.example", "a.example", false, "https://b.example", true},
		{"listed with usual port", "https://b.example", "a.example", false, "https://b.example:443", true},
		{"listed, other scheme", "http://b.example", "a.example", false, "https://b.example", false},
		{"second in the list", "https://c.example:8443", "a.example", false, "https://b.example https://c.example:8443",
			true},
		{"star", "https://b.example", "a.example", false, "*", true},
		{"no url", "b.example", "a.example", false, "https://b.example", false},
		{"ipv6", "http://[::1]:80", "[::1]", false, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			allowed, err := ParseOrigins(strings.Fields(tt.allowed))
			if err != nil {
				t.Fatal(err)
			}
			if got := originAllowed(tt.origin, tt.host, tt.tls, allowed); got != tt.want {
				t.Fatalf("allowed %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBadOrigins(t *testing.T) {
	for _, s := range []string{"", "example.com", "https://", "https://a/b", "https://u@a", "https://a?x",
		"https://*.a", "**", "https://a:*", "null"} {
		if o, err := ParseOrigins([]string{s}); err == nil {
			t.Errorf("%q was taken as %q", s, o)
		}
	}
}

package auth

import (
	"net/http"
	"testing"
)

// SPEC 2: "All of /_api needs Authorization: Bearer <api key> or X-API-Key".
func TestKeys(t *testing.T) {
	k := NewKeys("", "first", "second")
	tests := []struct {
		name, header, value string
		want                bool
	}{
		{"none", "", "", false},
		{"x-api-key", "X-API-Key", "first", true},
		{"second key", "X-API-Key", "second", true},
		{"bearer", "Authorization", "Bearer first", true},
		{"bearer in lower case", "Authorization", "bearer second", true},
		{"basic", "Authorization", "Basic first", false},
		{"prefix of a key", "X-API-Key", "firs", false},
		{"longer", "X-API-Key", "firstt", false},
		{"empty", "X-API-Key", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if tt.header != "" {
				h.Set(tt.header, tt.value)
			}
			if got := k.Allow(h); got != tt.want {
				t.Errorf("allow = %v, want %v", got, tt.want)
			}
		})
	}
	if NewKeys("").Configured() || !k.Configured() {
		t.Error("Configured is wrong")
	}
	if NewKeys().Allow(http.Header{"X-Api-Key": {""}}) {
		t.Error("no key configured, but one was accepted")
	}
}

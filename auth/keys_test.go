package auth

import (
	"net/http"
	"strings"
	"testing"
)

func readKeys(t *testing.T, text string) Keys {
	t.Helper()
	k, err := ReadKeys(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// SPEC 2: "All of /_api needs Authorization: Bearer <api key> or X-API-Key".
func TestFindKey(t *testing.T) {
	k := NewKey("first").Join(readKeys(t, "# for the shop\n\nshop read,publish second\nthird\n"))
	tests := []struct {
		name, header, value string
		caller              string
		read, publish, adm  bool
	}{
		{"none", "", "", "", false, false, false},
		{"x-api-key", "X-API-Key", "first", "default", true, true, true},
		{"of the file, with scopes", "X-API-Key", "second", "shop", true, true, false},
		{"of the file, alone", "X-API-Key", "third", "key-b1e99324", true, true, true},
		{"bearer", "Authorization", "Bearer first", "default", true, true, true},
		{"bearer in lower case", "Authorization", "bearer second", "shop", true, true, false},
		{"basic", "Authorization", "Basic first", "", false, false, false},
		{"prefix of a key", "X-API-Key", "firs", "", false, false, false},
		{"longer", "X-API-Key", "firstt", "", false, false, false},
		{"empty", "X-API-Key", "", "", false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if tt.header != "" {
				h.Set(tt.header, tt.value)
			}
			c, ok := k.Find(h)
			if ok != (tt.caller != "") || c.Name != tt.caller {
				t.Fatalf("caller %q, %v; want %q", c.Name, ok, tt.caller)
			}
			if c.May(Read) != tt.read || c.May(Publish) != tt.publish || c.May(Admin) != tt.adm {
				t.Errorf("scopes %v", c.scopes)
			}
		})
	}
	if NewKey("").Configured() || !k.Configured() {
		t.Error("Configured is wrong")
	}
	if _, ok := NewKey("").Find(http.Header{"X-Api-Key": {""}}); ok {
		t.Error("no key configured, but one was accepted")
	}
}

func TestBadKeyFiles(t *testing.T) {
	for text, want := range map[string]string{
		"a b":                   "line 1: write a key, or name, scopes and key",
		"\nshop write k":        `line 2: "write" is no scope: write read, publish or admin`,
		"k\nshop read k":        "line 2: this key is there already",
		"shop read,publish, k ": "line 1: \"\" is no scope: write read, publish or admin",
	} {
		if _, err := ReadKeys(strings.NewReader(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

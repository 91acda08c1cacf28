package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// parseRecords reads "field=version mark" words, like "a=5+ b=7-".
func parseRecords(t *testing.T, s string) records {
	t.Helper()
	out := records{}
	for _, word := range strings.Fields(s) {
		name, rest, _ := strings.Cut(word, "=")
		raw := fmt.Sprintf(`%s %s {"db":"db","path":%q,"method":"GET"}`, rest[:len(rest)-1], rest[len(rest)-1:], name)
		r, err := parseRecord(raw)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = r
	}
	return out
}

func (rs records) String() string {
	var out []string
	for name, r := range rs {
		mark := "+"
		if r.deleted {
			mark = "-"
		}
		out = append(out, fmt.Sprintf("%s=%d%s", name, r.Version, mark))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// SPEC 5: "After a wipe nodes write back … the registered scripts they hold (the newest version wins)".
func TestMergeRecords(t *testing.T) {
	const day = 24 * 60 * 60 * 1000
	now := time.UnixMilli(10 * day)
	n := fmt.Sprint
	recent, old := n(10*day-5), n(9*day-5)
	tests := []struct {
		name, local, remote   string
		next, restore, forget string
	}{
		{"nothing", "", "", "", "", ""},
		{"first read", "", "a=5+ b=6+", "a=5+ b=6+", "", ""},
		{"same", "a=5+", "a=5+", "a=5+", "", ""},
		{"newer in Redis", "a=5+", "a=6+", "a=6+", "", ""},
		{"newer here", "a=7+", "a=6+", "a=7+", "a=7+", ""},
		{"wiped", "a=5+ b=6+", "", "a=5+ b=6+", "a=5+ b=6+", ""},
		{"wiped, one written since", "a=5+ b=6+", "a=9+", "a=9+ b=6+", "b=6+", ""},
		{"deleted elsewhere", "a=5+", "a=" + recent + "-", "a=" + recent + "-", "", ""},
		{"written again after deletion", "a=5-", "a=6+", "a=6+", "", ""},
		{"wiped, with a deletion", "a=" + recent + "-", "", "a=" + recent + "-", "a=" + recent + "-", ""},
		{"a lost deletion wins over an older script", "a=" + recent + "-", "a=5+", "a=" + recent + "-", "a=" + recent + "-",
			""},
		{"old deletion", "a=" + old + "-", "a=" + old + "-", "", "", "a=" + old + "-"},
		{"old deletion, wiped", "a=" + old + "-", "", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next, restore, forget := mergeRecords(parseRecords(t, tt.local), parseRecords(t, tt.remote), now)
			if next.String() != tt.next || restore.String() != tt.restore || forget.String() != tt.forget {
				t.Fatalf("next %q restore %q forget %q; want %q, %q, %q", next, restore, forget, tt.next, tt.restore, tt.forget)
			}
		})
	}
}

// Two nodes that hold different scripts of one version end with the same one.
func TestMergeOfEqualVersions(t *testing.T) {
	a, err := parseRecord(`5 + {"db":"db","path":"x","method":"GET","code":"return 1"}`)
	if err != nil {
		t.Fatal(err)
	}
	b, err := parseRecord(`5 + {"db":"db","path":"x","method":"GET","code":"return 2"}`)
	if err != nil {
		t.Fatal(err)
	}
	one, _, _ := mergeRecords(records{"x": a}, records{"x": b}, time.UnixMilli(10))
	two, _, _ := mergeRecords(records{"x": b}, records{"x": a}, time.UnixMilli(10))
	if one["x"] != two["x"] {
		t.Fatalf("%v and %v", one["x"], two["x"])
	}
}

func TestDamagedRecords(t *testing.T) {
	for _, raw := range []string{"", "5", "5 + ", "x + {}", "5 * {}", "5 + {", `5 + {"db":"db","path":"","method":"GET"}`,
		`5 + {"db":"db","path":"x","method":"HEAD"}`} {
		if r, err := parseRecord(raw); err == nil {
			t.Errorf("%q was read as %+v", raw, r)
		}
	}
}

package presence

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type counted struct{ k, n int }

func (c *counted) key() int { return c.k }

// TestFew does at random what a map does too, and ends some of what it goes through.
func TestFew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f few[int, *counted]
		want := map[int]*counted{}
		key := rapid.IntRange(0, 2*atMostFew)
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				n++
				c := &counted{key.Draw(t, "key"), n}
				f.put(c)
				want[c.k] = c
			},
			"drop": func(t *rapid.T) {
				k := key.Draw(t, "key")
				f.drop(k)
				delete(want, k)
			},
			"drop some of all": func(t *rapid.T) {
				some := rapid.IntRange(1, 3).Draw(t, "some")
				before := maps.Clone(want)
				seen := map[int]bool{}
				for c := range f.all() {
					if seen[c.k] || before[c.k] != c {
						t.Fatalf("all gave %v, and has seen %v of %v", c, seen, before)
					}
					if seen[c.k] = true; c.k%some == 0 {
						f.drop(c.k)
						delete(want, c.k)
					}
				}
				if len(seen) != len(before) {
					t.Fatalf("all gave %v of %v", seen, before)
				}
			},
			"": func(t *rapid.T) {
				if f.len() != len(want) {
					t.Fatalf("has %d values, want %d", f.len(), len(want))
				}
				for k := range 2*atMostFew + 1 {
					if f.get(k) != want[k] {
						t.Fatalf("get(%d) = %v, want %v", k, f.get(k), want[k])
					}
				}
				if list, ok := f.values.([]*counted); ok && (len(list) < 2 || len(list) > atMostFew) {
					t.Fatalf("a slice of %d", len(list))
				}
			},
		})
	})
	var f few[int, *counted]
	f.put(&counted{1, 1})
	if f.drop(1); f.values != nil || slices.Collect(f.all()) != nil {
		t.Errorf("after all is dropped it holds %v", f.values)
	}
}

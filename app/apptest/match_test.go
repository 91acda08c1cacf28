package apptest

import (
	"encoding/json"
	"slices"
	"testing"
)

func parsed(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(text, err)
	}
	return v
}

// SPEC 11: "expect(frame) (a part fits; {} fits any table)".
func TestDifferences(t *testing.T) {
	tests := []struct {
		want, got string
		part      []string // differences of a part
		whole     []string // of values that are to be equal
	}{
		{`1`, `1`, nil, nil},
		{`1`, `2`, []string{"expected 1, got 2"}, []string{"expected 1, got 2"}},
		{`"a"`, `null`, []string{`expected "a", got null`}, []string{`expected "a", got null`}},
		{`null`, `null`, nil, nil},
		{`{}`, `{"a":1}`, nil, []string{"a: not expected, got 1"}},
		{`{}`, `[1]`, nil, []string{"expected {}, got [1]"}},
		{`{}`, `[]`, nil, nil},
		{`[]`, `{}`, []string{"expected [], got {}"}, nil},
		{`{}`, `"a"`, []string{`expected {}, got "a"`}, []string{`expected {}, got "a"`}},
		{`{"a":{"b":1}}`, `{"a":{"b":1,"c":2},"d":3}`, nil, []string{"a.c: not expected, got 2", "d: not expected, got 3"}},
		{`{"a":{"b":1}}`, `{"a":{"b":2}}`, []string{"a.b: expected 1, got 2"}, []string{"a.b: expected 1, got 2"}},
		{`{"a":{"b":1}}`, `{"a":{}}`, []string{"a.b: expected 1, is not there"}, []string{"a.b: expected 1, is not there"}},
		{`{"a":{"b":1}}`, `[{"b":1}]`, []string{`expected {"a":{"b":1}}, got [{"b":1}]`},
			[]string{`expected {"a":{"b":1}}, got [{"b":1}]`}},
		{`{"a":null}`, `{}`, nil, []string{"a: expected null, is not there"}},
		{`{"a":null}`, `{"a":null}`, nil, nil},
		{`{"a":null}`, `{"a":0}`, []string{"a: expected null, got 0"}, []string{"a: expected null, got 0"}},
		{`[{"a":1},2]`, `[{"a":1,"b":2},2]`, nil, []string{"[1].b: not expected, got 2"}},
		{`[1]`, `[1,2]`, []string{"expected 1 elements, got 2: [1,2]"}, []string{"expected 1 elements, got 2: [1,2]"}},
		{`{"l":[1,2]}`, `{"l":[1,3]}`, []string{"l[2]: expected 2, got 3"}, []string{"l[2]: expected 2, got 3"}},
		{`[]`, `[1]`, []string{"expected 0 elements, got 1: [1]"}, []string{"expected 0 elements, got 1: [1]"}},
		{`"<&>"`, `"<>"`, []string{`expected "<&>", got "<>"`}, []string{`expected "<&>", got "<>"`}},
	}
	for _, tt := range tests {
		want, got := parsed(t, tt.want), parsed(t, tt.got)
		if part := differences(want, got); !slices.Equal(part, tt.part) {
			t.Errorf("a part %s of %s: %q, want %q", tt.want, tt.got, part, tt.part)
		}
		if whole := unequal(want, got); !slices.Equal(whole, tt.whole) {
			t.Errorf("%s and %s: %q, want %q", tt.want, tt.got, whole, tt.whole)
		}
	}
}

// SPEC 11: strings are compared with what came, all else with its JSON.
func TestFrameDifferences(t *testing.T) {
	for _, tt := range []struct {
		frame frame
		want  any
		fits  bool
	}{
		{frame{`hello`, false}, "hello", true},
		{frame{`hello`, true}, "hello", true},
		{frame{`hello`, false}, "hell", false},
		{frame{`hello`, false}, map[string]any{}, false},
		{frame{`{"a":1}`, false}, map[string]any{}, true},
		{frame{`{"a":1}`, true}, map[string]any{}, false},
		{frame{`{"a":1}`, false}, `{"a":1}`, true},
		{frame{`"a"`, false}, "a", false},
		{frame{`12`, false}, 12.0, true},
		{frame{`true`, false}, true, true},
	} {
		if got := tt.frame.differences(tt.want); (len(got) == 0) != tt.fits {
			t.Errorf("%s for %v: %q", tt.frame, tt.want, got)
		}
	}
}

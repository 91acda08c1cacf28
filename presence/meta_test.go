package presence

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func fields(t *testing.T, text string) Fields {
	t.Helper()
	var f Fields
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEncode(t *testing.T) {
	for _, c := range []struct {
		name, fields, want string
		noState            bool
	}{
		{"nothing", `{}`, `{}`, true},
		{"names in order", `{"b":1,"a":[2,{"x":null}],"state":"away"}`, `{"a":[2,{"x":null}],"b":1,"state":"away"}`, false},
		{"SPEC 6: phx_ref, connection_id and online_at are ignored", `{"phx_ref":1,"connection_id":2,"online_at":3,"x":4}`,
			`{"x":4}`, true},
		{"names that need escapes", `{"a\"b\u0007":1,"ü":2,"<":3}`, `{"<":3,"a\"b\u0007":1,"ü":2}`, true},
		{"a state of null is none", `{"a":1,"state":null}`, `{"a":1}`, true},
		{"null stays null where a field is given anew", `{"a":null}`, `{"a":null}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := Encode(FromEvent, fields(t, c.fields))
			if err != nil || e.info != c.want || e.noState != c.noState {
				t.Errorf("got %s noState %v, %v; want %s %v", e.info, e.noState, err, c.want, c.noState)
			}
		})
	}
	if e, err := Encode(FromScript, nil); err != nil || e.info != "{}" || !e.noState {
		t.Errorf("no fields: %+v, %v", e, err)
	}
}

// SPEC 6: "One meta: at most 4 KiB."
func TestEncodeLimit(t *testing.T) {
	of := func(n int) Fields { // n bytes in all
		return Fields{"a": json.RawMessage(`"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"`)}
	}
	if e, err := Encode(FromEvent, of(MaxMeta)); err != nil || len(e.info) != 4096 {
		t.Errorf("4096 bytes: %d, %v", len(e.info), err)
	}
	if _, err := Encode(FromEvent, of(MaxMeta+1)); !errors.Is(err, ErrMetaTooBig) {
		t.Errorf("4097 bytes: %v", err)
	}
}

// SPEC 1.2, set_presence: "merges state and any other given metadata (`json.null` deletes a field)".
func TestMerge(t *testing.T) {
	for _, c := range []struct{ name, have, with, want string }{
		{"adds and replaces", `{"a":1,"b":2}`, `{"b":3,"c":4}`, `{"a":1,"b":3,"c":4}`},
		{"null deletes", `{"a":1,"b":2}`, `{"a":null,"z":null}`, `{"b":2}`},
		{"deep values are replaced, not merged", `{"a":{"x":1}}`, `{"a":{"y":2}}`, `{"a":{"y":2}}`},
		{"nothing", `{"a":1}`, `{}`, `{"a":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := merge(c.have, fields(t, c.with))
			if err != nil {
				t.Fatal(err)
			}
			if e, _ := Encode(FromEvent, f); e.info != c.want {
				t.Errorf("got %s, want %s", e.info, c.want)
			}
		})
	}
	if _, err := merge("no JSON", nil); err == nil {
		t.Error("damaged metadata merges")
	}
}

func TestEntry(t *testing.T) {
	for _, m := range []Meta{
		{ConnID: "c", Inc: "p-1", Ref: "r", JoinedAt: 17, Source: FromEvent, Info: "{}"},
		{ConnID: "c", Inc: "p-22", Ref: "r", JoinedAt: -1, Source: FromEvent, NoState: true, Info: `{"a b":" c "}`},
		{ConnID: "c", Inc: "p-3", Ref: "r-", JoinedAt: 1 << 50, Source: FromScript, NoState: true, Info: `{"x":"-"}`},
	} {
		got, err := parseEntry("c", m.Inc+" "+m.body())
		if err != nil || got != m {
			t.Errorf("%q reads as %+v, %v; want %+v", m.Inc+" "+m.body(), got, err, m)
		}
	}
}

package presence

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// netstring writes what the scripts' ns does.
func netstring(s string) string { return strconv.Itoa(len(s)) + ":" + s }

// message writes a change as the scripts do.
func message(c Change) string {
	var b strings.Builder
	add := func(s string) { b.WriteString(netstring(s)) }
	b.WriteByte(MessagePrefix)
	add(c.Epoch)
	add(strconv.FormatInt(c.Seq, 10))
	add(string([]byte{byte(c.Op)}))
	var gone []string
	for i, g := range c.Gone {
		if i < len(c.causes) && (i == 0 || c.causes[i] != c.causes[i-1]) && (i > 0 || c.causes[i] != "") {
			gone = append(gone, string(causeMark)+string(c.causes[i]))
		}
		gone = append(gone, g)
	}
	add(strconv.Itoa(len(gone)))
	for _, g := range gone {
		add(g)
	}
	add(strconv.Itoa(len(c.Users)))
	for _, u := range c.Users {
		add(u.ID)
		add(strconv.Itoa(len(u.Metas)))
		for _, m := range u.Metas {
			add(m.ConnID)
			add(m.Inc + " " + m.body())
		}
	}
	return b.String()
}

func TestParseChange(t *testing.T) {
	meta := func(conn string, at int64) Meta {
		return Meta{ConnID: conn, Inc: "node-1", Ref: "r" + conn, JoinedAt: at, Source: FromEvent, NoState: true,
			Info: `{"a b":"c:d 5:x"}`}
	}
	for _, c := range []struct {
		name   string
		change Change
	}{
		{"a join", Change{Epoch: "e", Seq: 1, Op: OpJoin, Users: []User{{ID: "u", Seq: 1, Metas: []Meta{meta("c1", 5)}}}}},
		{"a last leave", Change{Epoch: "e", Seq: 2, Op: OpLeave, Gone: []string{"c1"}, Users: []User{{ID: "u", Seq: 2}}}},
		{"one of two leaves", Change{Epoch: "e", Seq: 3, Op: OpLeave, Gone: []string{"c1"},
			Users: []User{{ID: "u", Seq: 3, Metas: []Meta{meta("c2", 7)}}}}},
		{"a reaped page", Change{Epoch: "e", Seq: 4, Op: OpReap, Gone: []string{"c1", "c2", "c3"},
			Users: []User{{ID: "u", Seq: 4}, {ID: "v 1:", Seq: 4, Metas: []Meta{meta("c9", 1)}}}}},
		{"leaves with causes", Change{Epoch: "e", Seq: 5, Op: OpReap, Gone: []string{"c1", "c2", "c3"},
			causes: []Cause{"drained", "drained", "node_lost"}, Users: []User{{ID: "u", Seq: 5}}}},
		{"causes of some", Change{Epoch: "e", Seq: 6, Op: OpReap, Gone: []string{"c1", "c2", "c3"},
			causes: []Cause{"", "lost", ""}, Users: []User{{ID: "u", Seq: 6}}}},
		{"a cause that only later versions know", Change{Epoch: "e", Seq: 7, Op: OpLeave, Gone: []string{"c1"},
			causes: []Cause{"tired"}, Users: []User{{ID: "u", Seq: 7}}}},
		{"a user with text that looks like the format",
			Change{Epoch: "1:x", Seq: 1 << 40, Op: OpUpdate,
				Users: []User{{ID: "3:a b", Seq: 1 << 40, Metas: []Meta{meta("c", 0)}}}}},
		{"an empty id", Change{Epoch: "", Seq: 0, Op: OpUpdate, Users: []User{{ID: "", Seq: 0}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseChange(message(c.change))
			if err != nil || !reflect.DeepEqual(got, c.change) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, c.change)
			}
		})
	}
}

// Metas are oldest first, whatever order Redis keeps them in.
func TestParseChangeSortsMetas(t *testing.T) {
	c := Change{Epoch: "e", Seq: 1, Op: OpJoin, Users: []User{{ID: "u", Metas: []Meta{
		{ConnID: "young", Ref: "a", JoinedAt: 9, Source: FromEvent, Info: "{}"},
		{ConnID: "b-of-two", Ref: "b", JoinedAt: 3, Source: FromScript, Info: "{}"},
		{ConnID: "a-of-two", Ref: "a", JoinedAt: 3, Source: FromScript, Info: "{}"},
	}}}}
	got, err := parseChange(message(c))
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, m := range got.Users[0].Metas {
		order = append(order, m.ConnID)
	}
	if want := []string{"a-of-two", "b-of-two", "young"}; !reflect.DeepEqual(order, want) {
		t.Errorf("metas are %v, want %v", order, want)
	}
}

// A user lives longer than the message or the answer that tells of it, and keeps nothing of it.
func TestUsersKeepNoMessages(t *testing.T) {
	u := User{ID: "anna", Metas: []Meta{
		{ConnID: "c1", Inc: "i-1", Ref: "r1", JoinedAt: 1, Source: FromEvent, Info: "{}"},
		{ConnID: "c2", Inc: "i-2", Ref: "r2", JoinedAt: 2, Source: FromEvent, Info: `{"a":1}`},
	}}
	texts := []string{message(Change{Epoch: "e", Seq: 1, Op: OpJoin, Users: []User{u}}), u.ID}
	c, err := parseChange(texts[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range u.Metas {
		texts = append(texts, m.ConnID, m.Inc+" "+m.body())
	}
	read, err := userFrom(texts[1], texts[2:])
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []*User{&c.Users[0], read} {
		if got.ID != u.ID || !reflect.DeepEqual(got.Metas, u.Metas) {
			t.Fatalf("got %+v, want %+v", got, u)
		}
		ss := []string{got.ID}
		for _, m := range got.Metas {
			ss = append(ss, m.ConnID, m.Inc, m.Ref, m.Info)
		}
		for _, s := range ss {
			for _, whole := range texts {
				if within(s, whole) {
					t.Errorf("%q is a part of %q", s, whole)
				}
			}
		}
	}
}

// within tells whether a string is a part of another one's memory.
func within(s, whole string) bool {
	at, from := uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(unsafe.Pointer(unsafe.StringData(whole)))
	return at >= from && at < from+uintptr(len(whole))
}

func TestParseChangeDamaged(t *testing.T) {
	whole := message(Change{Epoch: "e", Seq: 12, Op: OpJoin, Gone: []string{"c0"}, Users: []User{
		{ID: "u", Metas: []Meta{{ConnID: "c1", Inc: "i-1", Ref: "r", JoinedAt: 1, Source: FromEvent, Info: "{}"}}}}})
	if _, err := parseChange(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		if _, err := parseChange(whole[:i]); err == nil {
			t.Errorf("cut after %d bytes it still passes: %q", i, whole[:i])
		}
	}
	for name, text := range map[string]string{
		"nothing":                    "",
		"a broadcast":                "bxxx 1 hello",
		"more behind the end":        whole + "x",
		"a length past the end":      "p9:e",
		"a length of nine digits":    "p123456789:" + whole,
		"no length":                  "p:e",
		"a negative length":          "p-1:e",
		"seq is no number":           strings.Replace(whole, "2:12", "2:1x", 1),
		"op of two letters":          strings.Replace(whole, "1:j", "2:jj", 1),
		"a negative count":           strings.Replace(whole, "1:12:c0", "2:-12:c0", 1),
		"a huge count":               "p1:e1:1" + "1:j" + "8:99999999",
		"entry without parts":        strings.Replace(whole, netstring("i-1 r 1 e {}"), netstring("i-1 r 1"), 1),
		"entry without a time":       strings.Replace(whole, netstring("i-1 r 1 e {}"), netstring("i-1 r x e {}"), 1),
		"entry with other flags":     strings.Replace(whole, netstring("i-1 r 1 e {}"), netstring("i-1 r 1 e+ {}"), 1),
		"entry with more flags":      strings.Replace(whole, netstring("i-1 r 1 e {}"), netstring("i-1 r 1 e-- {}"), 1),
		"metadata that is no object": strings.Replace(whole, netstring("i-1 r 1 e {}"), netstring("i-1 r 1 e []"), 1),
		"empty metadata":             strings.Replace(whole, netstring("i-1 r 1 e {}"), netstring("i-1 r 1 e "), 1),
		"entry without flags":        strings.Replace(whole, netstring("i-1 r 1 e {}"), netstring("i-1 r 1  {}"), 1),
	} {
		if c, err := parseChange(text); err == nil {
			t.Errorf("%s: %q passes as %+v", name, text, c)
		}
	}
}

// Whatever comes over a topic, reading it ends and gives back what was written, or an error.
func FuzzParseChange(f *testing.F) {
	f.Add(message(Change{Epoch: "e", Seq: 1, Op: OpJoin, Users: []User{{ID: "u", Metas: []Meta{
		{ConnID: "c", Inc: "i-1", Ref: "r", JoinedAt: 1, Source: FromEvent, Info: `{"a":1}`}}}}}))
	f.Add(message(Change{Epoch: "e", Seq: 2, Op: OpLeave, Gone: []string{"c"}, Users: []User{{ID: "u"}}}))
	f.Add("p1:e1:11:j1:01:1")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseChange(text)
		if err != nil {
			return
		}
		again, err := parseChange(message(c))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%q reads as %+v and that as %+v, %v", text, c, again, err)
		}
	})
}

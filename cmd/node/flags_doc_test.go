package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/alecthomas/kong"
)

// docs/operating.md has a row for each flag of `rollcall serve`, with its default, and no row too many.
func TestFlagsAreInTheDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z0-9-]+)` \\| ([^|]*) \\| [^|]+ \\|$").FindAllStringSubmatch(
		string(text), -1) {
		rows[m[1]] = m[2]
	}
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for _, command := range parser.Model.Children {
		if command.Name != "serve" {
			continue
		}
		for _, f := range command.Flags {
			want := "none"
			switch {
			case f.HasDefault && f.Default != "0":
				want = "`" + f.Default + "`"
			case f.HasDefault:
				want = "0"
			case f.IsBool():
				want = "off"
			}
			flags[f.Name] = true
			if rows[f.Name] != want {
				t.Errorf("--%s has the default %q in the docs, want %q", f.Name, rows[f.Name], want)
			}
		}
	}
	for name := range rows {
		if !flags[name] {
			t.Errorf("the docs tell of --%s, which does not exist", name)
		}
	}
	if len(flags) < 20 {
		t.Errorf("only %d flags found", len(flags))
	}
}

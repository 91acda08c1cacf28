package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/testkit/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// operatingPage is docs/operating.md: it starts a node by itself.
var operatingPage = Page{File: "operating.md"}

// pages are those whose commands are run.
var pages = []Page{apiPage, authPage, handlersPage, operatingPage, testingPage, tutorialPage}

// handlersPage is docs/handlers.md: how scripts are registered.
var handlersPage = Page{File: "handlers.md", Nodes: 1, Flags: []string{"--dev"},
	Before: func(t *testing.T, _ []string, dir string) {
		if err := os.WriteFile(filepath.Join(dir, "chat.ws.lua"), []byte("solidb.ws.send('hello')\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}}

// testingPage is docs/testing.md, with an app of its own.
var testingPage = Page{File: "testing.md", Listings: true}

// What the docs tell a reader to type works, and prints what they show.
func TestPages(t *testing.T) {
	for _, p := range pages {
		t.Run(p.File, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, "docs", p.File))
			if err != nil {
				t.Fatal(err)
			}
			there := len(regexp.MustCompile("(?m)^\\s*```sh\\b").FindAll(text, -1))
			if ran := p.run(t); ran != there && !t.Failed() {
				t.Errorf("%d of %d blocks were run", ran, there)
			}
		})
	}
}

// Every page with commands is run.
func TestEveryPageIsRun(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	shells := regexp.MustCompile("(?m)^\\s*```(sh|bash|shell|console)")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		for _, m := range shells.FindAllSubmatch(text, -1) {
			if string(m[1]) != "sh" {
				t.Errorf("docs/%s: write ```sh instead of ```%s, so that it is run", name, m[1])
			}
			if !slices.ContainsFunc(pages, func(p Page) bool { return p.File == name }) {
				t.Errorf("docs/%s has commands that no test runs", name)
				break
			}
		}
	}
}

// A page whose commands fail, or print something else, fails.
func TestRunnerSaysNo(t *testing.T) {
	need(t, "bash")
	s := Page{File: "none.md"}.shell(t)
	for _, tt := range []struct {
		name, commands, lang, shows string
		fails                       bool
	}{
		{"right", "echo a", "text", "a", false},
		{"what it prints is not shown", "echo a", "", "", false},
		{"variables stay", "X=1\ncd /", "", "", false},
		{"and are there", "echo $X $PWD", "text", "1 /", false},
		{"a command fails", "false\ntrue", "", "", true},
		{"in a pipe", "false | cat", "", "", true},
		{"a variable that is not set", "echo $NOWHERE", "", "", true},
		{"another output", "echo a", "text", "b", true},
		{"another answer", `echo '{"a":1}'`, "json", `{"a":2}`, true},
		{"nothing answers", "curl http://127.0.0.1:1/", "", "", true},
	} {
		var want *block
		if tt.lang != "" {
			want = &block{lang: tt.lang, text: tt.shows}
		}
		if err := s.run(block{text: tt.commands + "\n"}, want); (err != nil) != tt.fails {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if got, err := blocksOf("a\n```sh\nx\n```\n\n  ```json example\n{}\n  ```\n"); err != nil || len(got) != 2 ||
		got[0].text != "x\n" || got[1].lang != "json example" {
		t.Errorf("blocks are %v, %v", got, err)
	}
	if _, err := blocksOf("```sh\nx\n"); err == nil || !strings.Contains(err.Error(), "no end") {
		t.Errorf("a block without end: %v", err)
	}
}

// The tests that the pages name are there.
func TestNamedTestsAreThere(t *testing.T) {
	code := ""
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		code += string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(page), -1)
	for _, name := range names {
		if !strings.Contains(code, "func "+name[1]+"(") {
			t.Errorf("docs/guarantees.md names %s, which does not exist", name[1])
		}
	}
	if len(names) < 8 {
		t.Errorf("it names only %d tests", len(names))
	}
}

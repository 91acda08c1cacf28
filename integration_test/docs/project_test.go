package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// readRoot reads a file of the project.
func readRoot(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// targets are what make can be told.
func targets(t *testing.T) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`).FindAllStringSubmatch(readRoot(t, "Makefile"), -1) {
		all = append(all, m[1])
	}
	if len(all) < 20 {
		t.Fatalf("only %q", all)
	}
	return all
}

// Each target that a page names is one.
func TestPagesNameTargets(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"))
	all, named := targets(t), 0
	command := regexp.MustCompile("(?m)(?:`|^)make((?: [a-z][a-z0-9-]*)+)")
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(string(text), -1) {
			for _, target := range strings.Fields(m[1]) {
				if named++; !slices.Contains(all, target) {
					t.Errorf("%s: there is no make %s", filepath.Base(page), target)
				}
			}
		}
	}
	if named < 10 {
		t.Errorf("only %d are named", named)
	}
}

// CI checks nothing that cannot be run by make: after the machine is set up, each section is a target.
func TestCIRunsTargets(t *testing.T) {
	all, run := targets(t), 0
	for _, m := range regexp.MustCompile(`(?m)^section "([^"]+)" (.*)$`).
		FindAllStringSubmatch(readRoot(t, ".ci/run"), -1) {
		words := strings.Fields(m[2])
		switch words[0] {
		case "install_packages", ".ci/dockerd":
		case "target", "tests":
			if run++; len(words) != 2 || !slices.Contains(all, words[1]) {
				t.Errorf("%s: there is no make %s", m[1], m[2])
			}
		default:
			t.Errorf("%s is no target: %s", m[1], m[2])
		}
	}
	if run < 8 {
		t.Errorf("only %d sections", run)
	}
}

// CONTRIBUTING.md names files and identifiers that are there.
func TestContributing(t *testing.T) {
	text := readRoot(t, "CONTRIBUTING.md")
	paths := 0
	for _, m := range regexp.MustCompile("`([a-z_.]+/[A-Za-z_./-]*)`").FindAllStringSubmatch(text, -1) {
		if paths++; !exists(filepath.Join(root, m[1])) {
			t.Errorf("there is no %s", m[1])
		}
	}
	if paths < 20 {
		t.Errorf("only %d paths", paths)
	}
	for file, names := range map[string][]string{
		"hub/types.go":                  {"actionNames"},
		"hub/actions.go":                {") act("},
		"app/actions.go":                {"actionKinds", "readAction"},
		"app/lib_ws.go":                 {"wsFunctions"},
		"app/lib.go":                    {"func (c *call) wait("},
		"app/measure.go":                {") Measure("},
		"cmd/node/metrics_docs_test.go": {"allMetrics"},
		"testkit/stories/events.go":     {"eventStories"},
		"testkit/stories/functions.go":  {"functionStories"},
	} {
		code := readRoot(t, file)
		for _, name := range names {
			if !strings.Contains(code, name) {
				t.Errorf("%s has no %s", file, name)
			}
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

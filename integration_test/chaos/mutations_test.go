package chaos

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/testkit/redistest"
)

// mutation is a fault of the product, made on purpose: a patch with a header.
type mutation struct{ name, what, plan, broken, patch string }

// readMutation reads a file of testdata/mutations.
func readMutation(t *testing.T, path string) mutation {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := mutation{name: strings.TrimSuffix(filepath.Base(path), ".patch"), patch: string(b)}
	head, _, _ := strings.Cut(string(b), "\n\n")
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch name {
		case "what":
			m.what = value
		case "plan":
			m.plan = value
		case "broken":
			m.broken = value
		}
	}
	if m.what == "" || m.plan == "" || m.broken == "" {
		t.Fatalf("%s: the header lacks what, plan or broken", path)
	}
	return m
}

// build makes a node of a copy of the source with the patch in it; it fails when the patch does not fit the code any
// more.
func (m mutation) build(t *testing.T) (node string) {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	copySource(t, source)
	apply := exec.Command("git", "apply", "-p0", "-")
	apply.Dir, apply.Stdin = source, strings.NewReader(m.patch)
	apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+dir)
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("the patch does not fit the code: write it anew. %v\n%s", err, out)
	}
	node = filepath.Join(dir, "rollcall")
	build := exec.Command("go", "build", "-o", node, "./cmd/node")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return node
}

// copySource copies what a node is built of, and little else.
func copySource(t *testing.T, to string) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, root))
		switch {
		case d.IsDir() && slices.Contains([]string{".git", ".ci", "docs", "integration_test", "node_modules"}, d.Name()):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// readMutations reads all.
func readMutations(t *testing.T) (all []mutation) {
	t.Helper()
	files, err := filepath.Glob("testdata/mutations/*.patch")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d mutations: %v", len(files), err)
	}
	for _, path := range files {
		all = append(all, readMutation(t, path))
	}
	return all
}

// Each mutation still fits the code.
func TestMutationsFit(t *testing.T) {
	redistest.Program(t, "git")
	for _, m := range readMutations(t) {
		check := exec.CommandContext(t.Context(), "git", "apply", "--check", "-p0", "-")
		check.Dir, check.Stdin = filepath.Join("..", ".."), strings.NewReader(m.patch)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s does not fit the code: write it anew. %v\n%s", m.name, err, out)
		}
	}
}

var violations = regexp.MustCompile(`violations: map\[(.*)\]`)

// Each mutation is caught: a short run under the fault that shows it ends with a violation of the rule that it breaks.
func TestMutations(t *testing.T) {
	if os.Getenv("ROLLCALL_CHAOS_MUTATIONS") == "" {
		t.Skip("make chaos-mutations runs it: some ten minutes")
	}
	for _, m := range readMutations(t) {
		t.Run(m.name, func(t *testing.T) {
			node := m.build(t)
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			run := exec.CommandContext(ctx, os.Args[0], "-test.v", "-test.count=1", "-test.run=^TestChaos$")
			run.Env = append(os.Environ(), "ROLLCALL_CHAOS="+m.plan, "ROLLCALL_TEST_NODE="+node)
			var out bytes.Buffer
			run.Stdout, run.Stderr = &out, &out
			err := run.Run()
			found := violations.FindStringSubmatch(out.String())
			if err == nil || found == nil || !strings.Contains(found[1], m.broken) {
				t.Fatalf("not caught under %s (%v): %v\n%s", m.plan, err, found, tail(out.String()))
			}
			t.Logf("%s: caught under %s in %v: %s", m.what, m.plan, time.Since(began).Round(time.Second), found[1])
		})
	}
}

// tail is the end of an output.
func tail(text string) string {
	const most = 4000
	return text[max(0, len(text)-most):]
}

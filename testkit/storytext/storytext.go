// Package storytext plays stories: text files of commands with the output that they are to have.
//
// Only tests import it. It starts no goroutine.
package storytext

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories under testdata print as what is expected")

// Run plays every file of testdata/dir: blocks of one command a line, then ----, then the expected output, divided by
// blank lines. fresh makes one story's interpreter, which takes the words of a command and gives what it prints.
func Run(t *testing.T, dir string, fresh func(t *testing.T) func(words []string) string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			played := play(t, string(text), fresh(t))
			if !*rewrite {
				return
			}
			if err := os.WriteFile(file, []byte(played), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// play runs the blocks of a story, and gives the story with what was printed.
func play(t *testing.T, text string, command func(words []string) string) string {
	t.Helper()
	var out []string
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		script, want, isStep := strings.Cut(block, "\n----")
		if !isStep {
			out = append(out, block) // a comment
			continue
		}
		var got strings.Builder
		for line := range strings.Lines(script) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
				got.WriteString(command(strings.Fields(line)))
			}
		}
		result := strings.TrimRight(got.String(), "\n")
		if result != strings.TrimPrefix(want, "\n") && !*rewrite {
			t.Errorf("%s\nprinted\n%s\nwant%s", script, result, want)
		}
		out = append(out, strings.TrimRight(script+"\n----\n"+result, "\n"))
	}
	return strings.Join(out, "\n\n") + "\n"
}

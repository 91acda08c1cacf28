package apptest

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Report is what a run found out.
type Report struct {
	Results []Result      // in the order of files and cases
	Took    time.Duration // real time
}

// Result is one case.
type Result struct {
	File    string        // "test/chat_test.lua"
	Name    string        // "" for a file that cannot be loaded
	Took    time.Duration // real time
	Failure *Failure      // nil: it passed

	stuck bool
}

// Failure is why a case failed. Times in it are virtual, since the case began.
type Failure struct {
	Place   string // "test/chat_test.lua:12"; "" when unknown
	Message string
	Calls   []string // places in the file that led there
	Details []string // what was expected, what came, how they differ
	Clients []Trace
	Log     []string // of nodes, from warnings on, and of print
}

// Trace is what a client sent and got.
type Trace struct {
	Client string
	Lines  []string
}

// Failed counts the cases that failed.
func (r Report) Failed() (n int) {
	for _, result := range r.Results {
		if result.Failure != nil {
			n++
		}
	}
	return n
}

// Summary is the last line of the output.
func (r Report) Summary() string {
	count := func(n int, what string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprint(n, " ", what, "s")
	}
	files := map[string]bool{}
	for _, result := range r.Results {
		files[result.File] = true
	}
	all := fmt.Sprintf("%s in %s, %.2f s", count(len(r.Results), "test"), count(len(files), "file"), r.Took.Seconds())
	if failed := r.Failed(); failed > 0 {
		return fmt.Sprintf("FAIL: %d of %s", failed, all)
	}
	return "ok: " + all
}

// Title names the case.
func (r Result) Title() string {
	if r.Name == "" {
		return r.File
	}
	return r.File + ": " + r.Name
}

// Write writes the block of a case that failed; nothing for one that passed.
func (r Result) Write(out io.Writer) error {
	if r.Failure == nil {
		return nil
	}
	_, err := fmt.Fprintf(out, "FAIL %s\n%s\n", r.Title(), r.Failure.text("    "))
	return err
}

// text is all of a failure, each line behind an indent.
func (f *Failure) text(indent string) string {
	var b strings.Builder
	line := func(depth int, text string) {
		for part := range strings.SplitSeq(text, "\n") {
			b.WriteString(strings.TrimRight(strings.Repeat(indent, depth)+part, " ") + "\n")
		}
	}
	line(1, place(f.Place)+f.Message)
	for _, at := range f.Calls {
		line(1, "called from "+at)
	}
	for _, d := range f.Details {
		line(2, d)
	}
	section := func(title string, lines []string) {
		if len(lines) > 0 {
			line(1, title)
		}
		for _, l := range lines {
			line(2, l)
		}
	}
	for _, c := range f.Clients {
		if len(c.Lines) == 0 {
			line(1, c.Client+": nothing was sent, and nothing came")
		}
		section(c.Client+":", c.Lines)
	}
	section("log:", f.Log)
	return b.String()
}

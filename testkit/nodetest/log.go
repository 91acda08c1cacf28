package nodetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Timeout is how long helpers wait for what should come at once. A test that passes never waits so long.
const Timeout = 15 * time.Second

// Line is one line of a node's log: what slog's JSON has. A line that is no JSON (a crash, a report of the race
// detector) is under "raw".
type Line map[string]any

// Text is a field as text, "" when it is missing.
func (l Line) Text(name string) string {
	if v, ok := l[name]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// Is tells whether the message is msg and the fields are as given, name and value in turn.
func (l Line) Is(msg string, fields ...string) bool {
	if l.Text("msg") != msg {
		return false
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if l.Text(fields[i]) != fields[i+1] {
			return false
		}
	}
	return true
}

// Log keeps what a node writes. It is an io.Writer.
type Log struct {
	mu      sync.Mutex
	rest    []byte
	lines   []Line
	wrong   []string      // lines of JSON that are not as they should be
	forgave []string      // signs that are no faults here
	changed chan struct{} // closed and made anew with each line
}

// Write takes whole lines and parts of lines.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	any := false
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			break
		}
		l.rest = rest
		parsed := Line{}
		if json.Unmarshal(line, &parsed) != nil {
			parsed = Line{"raw": string(line)}
		}
		if fault := lineFault(line, parsed); fault != "" {
			l.wrong = append(l.wrong, fault)
		}
		l.lines, any = append(l.lines, parsed), true
	}
	if any && l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	return len(p), nil
}

// Lines are all lines so far.
func (l *Log) Lines() []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[:len(l.lines):len(l.lines)]
}

// wait gives the lines so far, and what is closed at the next.
func (l *Log) wait() ([]Line, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.lines[:len(l.lines):len(l.lines)], l.changed
}

// Await waits for a line and returns it.
func (l *Log) Await(t testing.TB, what string, is func(Line) bool) Line {
	t.Helper()
	deadline := time.After(Timeout)
	seen := 0
	for {
		lines, changed := l.wait()
		for _, line := range lines[seen:] {
			if is(line) {
				return line
			}
		}
		seen = len(lines)
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no log line %s", what)
		}
	}
}

// Text is the log for a reader.
func (l *Log) Text() string {
	var b strings.Builder
	for _, line := range l.Lines() {
		if raw := line.Text("raw"); raw != "" {
			b.WriteString(raw)
		} else {
			fmt.Fprintf(&b, "%s %s %s", line.Text("time"), line.Text("level"), line.Text("msg"))
			for name, v := range line {
				if name != "time" && name != "level" && name != "msg" {
					fmt.Fprintf(&b, " %s=%v", name, v)
				}
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// forgive says that a fatal error with one of these words is no fault.
func (l *Log) forgive(words ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgave = append(l.forgave, words...)
}

// lineFault is what is wrong with a line of JSON: collectors refuse names that come twice, and need to know the node.
func lineFault(line []byte, parsed Line) string {
	switch {
	case !bytes.HasPrefix(line, []byte("{")):
		return ""
	case !jsontext.Value(line).IsValid():
		return "no strict JSON: " + string(line)
	}
	for _, name := range []string{"time", "level", "msg", "node"} {
		if parsed.Text(name) == "" {
			return "no " + name + ": " + string(line)
		}
	}
	return ""
}

// Faults are signs in the log of what no node may ever do.
func (l *Log) Faults() (found []string) {
	l.mu.Lock()
	forgave, found := l.forgave, slices.Clone(l.wrong)
	l.mu.Unlock()
	for _, line := range l.Lines() {
		raw := line.Text("raw")
		for _, sign := range []string{"DATA RACE", "panic:", "fatal error:"} {
			has := func(word string) bool { return strings.Contains(raw, word) }
			if has(sign) && !(sign == "fatal error:" && slices.ContainsFunc(forgave, has)) {
				found = append(found, raw)
			}
		}
		if line.Is("handler panicked") {
			found = append(found, line.Text("panic"))
		}
	}
	return found
}

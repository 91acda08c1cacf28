package simulation

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

var mutantsFlag = flag.Int("mutants", 0,
	"build the product with one mistake at a time, and let each be found in so many steps; 0: not")

// mutant is one mistake in one file of the product.
type mutant struct {
	name     string
	file     string // from the project's folder
	old, new string // old stands in the file once
}

// Each would break a promise of SPEC 5 without any error being seen.
var mutants = []mutant{
	{"a change after a gap is applied", "presence/replica.go",
		"case c.Epoch == r.epoch && c.Seq == r.seq+1:", "case c.Epoch == r.epoch && c.Seq > r.seq:"},
	{"the audit sees no message missing", "presence/audit.go",
		"behind = append(behind, i)", ""},
	{"removals are not held back", "presence/load.go",
		"v.note(v.replica.Reset(snap, v.holdUntil(snap)))", "v.note(v.replica.Reset(snap, 0))"},
	{"held-back removals never end", "presence/load.go",
		"any && v.holdsAt == 0 {", "any && !any {"},
	{"entries are not written again under a new incarnation", "presence/own.go",
		"return o.written == o.version && (o.gone || o.inc == inc)", "return o.written == o.version"},
	{"a channel is not put on the list that reapers go by", "presence/settle.go",
		"if c.reg.inc == inc {", "if true {"},
	{"a presence_state does not count as told", "presence/window.go",
		"w.fresh[connID] = w.version", ""},
	{"a lost lease is kept", "cluster/cluster.go",
		"if deadline != 0 {\n\t\t\tc.mu.Lock()", "if deadline >= 0 {\n\t\t\tc.mu.Lock()"},
	{"what lingers never ends", "presence/own.go",
		"time.AfterFunc(stay, func() { c.lingered(ref, o) })", "time.AfterFunc(1000*time.Hour, func() {})"},
	{"an entry that went instead of lingering is written again", "presence/settle.go",
		"o.gone, err = true, nil", "m := *o.meta\n\t\tm.Ref, o.meta, o.end, err = newRef(), &m, nil, nil"},
	{"a leave is told for another cause", "presence/own.go",
		"end{cause: cause}", "end{cause: CauseClosed}"},
	{"a view does not tell why somebody left", "presence/replica.go",
		"t.Cause = t.cause(c.cause)", ""},
	{"a reaper does not know until when a node lived", "presence/store.go",
		"s.remove(ctx, channel, inc, removeDue, lived, others)",
		"s.remove(ctx, channel, inc, removeDue, 0*lived, others)"},
	{"nobody reaps", "cluster/cluster.go",
		"c.reaper.kick()", ""},
}

// TestMutants proves the checks: each mistake makes the simulation fail.
func TestMutants(t *testing.T) {
	if *mutantsFlag == 0 {
		t.Skip("it builds the product many times; ask with -mutants")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) { m.find(t, "TestSimulation") })
	}
	for _, m := range historyMutants {
		t.Run(m.name, func(t *testing.T) { m.find(t, "TestHistory") })
	}
}

// find lets a test of the simulation fail because of the mistake.
func (m mutant) find(t *testing.T, test string) {
	t.Helper()
	run := exec.CommandContext(t.Context(), m.build(t), "-test.run=^"+test+"$", "-steps="+strconv.Itoa(*mutantsFlag),
		"-shrink=0")
	out, err := run.CombinedOutput()
	switch i := bytes.Index(out, []byte(" fails: ")); {
	case err == nil:
		t.Errorf("not found: %s", out)
	case i < 0:
		t.Errorf("it ended otherwise: %v\n%s", err, out)
	default:
		line, _, _ := bytes.Cut(out[bytes.LastIndexByte(out[:i], '\n')+1:], []byte("\n"))
		t.Logf("%s", bytes.TrimSpace(line))
	}
}

// TestMutantsFit: each mistake names one place of the product, also where nobody asks for mutants.
func TestMutantsFit(t *testing.T) {
	for _, m := range slices.Concat(mutants, historyMutants) {
		m.read(t)
	}
}

// read gives the path and the text of the file that the mistake is made in.
func (m mutant) read(t *testing.T) (path string, source []byte) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../..", m.file))
	if err != nil {
		t.Fatal(err)
	}
	if source, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(source, []byte(m.old)); n != 1 {
		t.Fatalf("%s has %d times %q: say anew what the mistake is", m.file, n, m.old)
	}
	return path, source
}

// build makes the test's own binary with the mistake in it, and leaves the project as it is.
func (m mutant) build(t *testing.T) (binary string) {
	t.Helper()
	path, source := m.read(t)
	dir := t.TempDir()
	wrong, overlay, binary := filepath.Join(dir, "wrong.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir,
		"test")
	source = bytes.Replace(source, []byte(m.old), []byte(m.new), 1)
	if err := os.WriteFile(wrong, source, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{path: wrong}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"rollcall/cluster"
	"rollcall/testkit/tokentest"
)

// allMetrics are the metrics of a node that has all, and of each a series.
func allMetrics(t *testing.T) prometheus.Gatherer {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(testApp)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config/hooks.lua"),
		[]byte(`hook("audit", { channels = "*", stream = "audit" })`), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := start(t.Context(), configOf(t, "--app", dir, "--drain", "0s", "--jwks-url", tokentest.NewJWKS(t).URL),
		cluster.NewProcess(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	n.metrics.Ran("message", "/ws", time.Millisecond)
	n.metrics.ScriptRan("WS db/x", time.Second)
	n.metrics.HandlerFailed("message", "/ws", "raised")
	n.metrics.HandlerDenied("message", "/ws")
	n.metrics.Answered("broadcast", 200, time.Millisecond)
	return n.metrics.Gatherer()
}

// known are our metrics as "name | type | labels", by name.
func known(t *testing.T) map[string]string {
	t.Helper()
	families, err := allMetrics(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "rollcall_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		slices.Sort(labels)
		kind := strings.ToLower(dto.MetricType_name[int32(f.GetType())])
		all[f.GetName()] = fmt.Sprintf("`%s` | %s | %s", f.GetName(), kind, strings.Join(labels, ", "))
	}
	return all
}

// docs/operating.md has one row for each metric, with its type and labels, and no row too many.
func TestEveryMetricIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `rollcall_") && len(cells) >= 3 {
			name := strings.Trim(strings.TrimPrefix(cells[0], "| "), "`")
			labels := strings.Split(strings.TrimSpace(cells[2]), ", ")
			slices.Sort(labels)
			rows[name] = strings.TrimSpace(strings.TrimPrefix(cells[0], "| ") + " | " + cells[1] + " | " +
				strings.Join(labels, ", "))
		}
	}
	all := known(t)
	for name, row := range all {
		if rows[name] != strings.TrimSpace(row) {
			t.Errorf("docs/operating.md has %q, want %q", rows[name], row)
		}
	}
	for name := range rows {
		if all[name] == "" {
			t.Errorf("docs/operating.md tells of %s, which does not exist", name)
		}
	}
	for _, name := range named(string(text)) {
		if all[name] == "" {
			t.Errorf("docs/operating.md names %s, which does not exist", name)
		}
	}
}

var metricName = regexp.MustCompile(`\brollcall_[a-z0-9_]+`)

// named are the metrics that a text names; the parts of a histogram count as it.
func named(text string) []string {
	var names []string
	for _, name := range metricName.FindAllString(text, -1) {
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, part)
		}
		names = append(names, name)
	}
	return names
}

// SPEC 2: /metrics, by the conventions of Prometheus.
func TestNamesAreConventional(t *testing.T) {
	all := allMetrics(t)
	problems, err := testutil.GatherAndLint(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := all.Gather()
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "rollcall_") {
			continue
		}
		ours++
		if f.GetHelp() == "" || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s has the help text %q", f.GetName(), f.GetHelp())
		}
		for _, series := range f.GetMetric() {
			for _, l := range series.GetLabel() {
				if l.GetValue() == "" {
					t.Errorf("%s has an empty label %s", f.GetName(), l.GetName())
				}
			}
		}
	}
	if ours < 50 {
		t.Errorf("only %d metrics", ours)
	}
}

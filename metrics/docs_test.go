package metrics

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// known are our metrics as "name | type | labels", by name.
func known(t *testing.T) map[string]string {
	t.Helper()
	families, err := full().Gatherer().Gather()
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
	text, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `rollcall_") && len(cells) >= 3 {
			name := strings.Trim(strings.TrimPrefix(cells[0], "| "), "`")
			labels := strings.Split(strings.TrimSpace(cells[2]), ", ")
			slices.Sort(labels)
			rows[name] = strings.TrimSpace(strings.TrimPrefix(cells[0], "| ") + " | " + cells[1] + " | " + strings.Join(labels, ", "))
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

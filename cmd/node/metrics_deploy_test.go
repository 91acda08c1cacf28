package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oasdiff/yaml"
)

// deployed reads a file of deploy/.
func deployed(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../deploy/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// selector is a metric in an expression with the labels it is chosen by; grouping is a list of labels.
var (
	selector = regexp.MustCompile(`\b(rollcall_[a-z0-9_]+)(\{[^}]*\})?`)
	label    = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!=|!~|=)`)
	grouping = regexp.MustCompile(`by \(([^)]*)\)`)
)

// checkExpression fails when an expression names a metric or label that does not exist, or takes the rate of a gauge,
// or a counter as it is.
func checkExpression(t *testing.T, expr string, all map[string]string) {
	t.Helper()
	var groups []string
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		groups = append(groups, strings.Split(g[1], ", ")...)
	}
	for _, at := range selector.FindAllStringSubmatchIndex(expr, -1) {
		full, labels := expr[at[2]:at[3]], ""
		if at[4] >= 0 {
			labels = expr[at[4]:at[5]]
		}
		name := named(full)[0]
		row := all[name]
		if row == "" {
			t.Errorf("%s: there is no metric %s", expr, full)
			continue
		}
		if histogram := strings.Contains(row, "| histogram |"); histogram != (name != full) {
			t.Errorf("%s: %s", expr, row)
		}
		rated := strings.HasSuffix(expr[:at[0]], "rate(") || strings.HasSuffix(expr[:at[0]], "increase(")
		if rated == strings.Contains(row, "| gauge |") {
			t.Errorf("%s: the rate, or not, of %s", expr, row)
		}
		named := groups
		for _, l := range label.FindAllStringSubmatch(labels, -1) {
			named = append(named, l[1])
		}
		for _, l := range named {
			if l != "instance" && l != "job" && l != "le" && !strings.Contains(row, "`"+l+"`") {
				t.Errorf("%s: %s has no label %s", expr, name, l)
			}
		}
	}
	if !metricName.MatchString(expr) && !strings.HasPrefix(expr, "up{") && !strings.Contains(expr, "process_") &&
		!strings.Contains(expr, "go_") {
		t.Errorf("%s names no metric", expr)
	}
	if strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
		t.Errorf("%s: brackets do not match", expr)
	}
}

// alert is one rule of deploy/prometheus/alerts.yml.
type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	if _, err := yaml.Unmarshal(deployed(t, "prometheus/alerts.yml"), &file, yaml.DecodeOpts{}); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// Alerts are YAML of Prometheus's shape, about metrics that exist, and each says how bad it is and what is the matter.
func TestAlerts(t *testing.T) {
	all := known(t)
	seen := map[string]bool{}
	for _, r := range alerts(t) {
		if r.Alert == "" || seen[r.Alert] {
			t.Errorf("the name %q is missing or there twice", r.Alert)
		}
		seen[r.Alert] = true
		if s := r.Labels["severity"]; s != "page" && s != "ticket" || r.Annotations["summary"] == "" {
			t.Errorf("%s has severity %q and summary %q", r.Alert, s, r.Annotations["summary"])
		}
		checkExpression(t, r.Expr, all)
	}
	if len(seen) < 10 {
		t.Errorf("only %d alerts", len(seen))
	}
}

// docs/operating.md has a row for each alert, with its severity, in the order of alerts.yml. The row of a metric names
// the alerts that look at it, and no alert is named that does not exist.
func TestAlertsAreDocumented(t *testing.T) {
	text := string(deployed(t, "../docs/operating.md"))
	var want, rows, names []string
	about := map[string][]string{}
	for _, r := range alerts(t) {
		names = append(names, r.Alert)
		want = append(want, r.Alert+" "+r.Labels["severity"])
		for _, metric := range named(r.Expr) {
			if quoted := "`" + r.Alert + "`"; !slices.Contains(about[metric], quoted) {
				about[metric] = append(about[metric], quoted)
			}
		}
	}
	ofAlert := regexp.MustCompile("(?m)^\\| `(Rollcall\\w+)` \\| (\\w+) \\| [^|]+ \\| [^|]+ \\|$")
	for _, row := range ofAlert.FindAllStringSubmatch(text, -1) {
		rows = append(rows, row[1]+" "+row[2])
	}
	if !slices.Equal(rows, want) {
		t.Errorf("the rows of docs/operating.md are\n%s\nbut the alerts\n%s",
			strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| `rollcall_") || len(cells) < 6 {
			continue
		}
		metric, last := strings.Trim(cells[1], " `"), strings.TrimSpace(cells[len(cells)-1])
		if want := strings.Join(about[metric], ", "); last != want {
			t.Errorf("the last column of %s is %q, but alerts.yml has %q", metric, last, want)
		}
	}
	for _, name := range regexp.MustCompile(`\bRollcall[A-Z]\w+`).FindAllString(text, -1) {
		if !slices.Contains(names, name) {
			t.Errorf("there is no alert %s", name)
		}
	}
}

// Prometheus finds the alerts and the nodes of the compose file, where these serve their metrics.
func TestPrometheusConfig(t *testing.T) {
	var file struct {
		RuleFiles     []string `json:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string                       `json:"job_name"`
			StaticConfigs []struct{ Targets []string } `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	if _, err := yaml.Unmarshal(deployed(t, "prometheus/prometheus.yml"), &file, yaml.DecodeOpts{}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(file.RuleFiles, []string{"alerts.yml"}) || len(file.ScrapeConfigs) != 1 ||
		file.ScrapeConfigs[0].JobName != "rollcall" {
		t.Fatalf("%+v", file)
	}
	var compose struct {
		Services map[string]struct{ Environment map[string]any }
	}
	if _, err := yaml.Unmarshal(deployed(t, "../docker-compose.yml"), &compose, yaml.DecodeOpts{}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for name, s := range compose.Services {
		if listen, ok := s.Environment["ROLLCALL_HEALTH_LISTEN"].(string); ok {
			want = append(want, name+listen)
		}
	}
	slices.Sort(want)
	if got := file.ScrapeConfigs[0].StaticConfigs[0].Targets; !slices.Equal(got, want) || len(want) != 3 {
		t.Errorf("targets %q, but the compose file has %q", got, want)
	}
	if !strings.Contains(string(deployed(t, "haproxy.cfg")), "check port 6746 ") {
		t.Error("HAProxy asks for readiness at another port")
	}
}

// The dashboard is JSON of Grafana's shape, about metrics that exist.
func TestDashboard(t *testing.T) {
	var board struct {
		Title  string
		Panels []struct {
			ID          int
			Type, Title string
			GridPos     struct{ H, W, X, Y int }
			Targets     []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal(deployed(t, "grafana/rollcall.json"), &board); err != nil {
		t.Fatal(err)
	}
	all := known(t)
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if p.Title == "" || ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || (p.Type != "row") != (len(p.Targets) > 0) {
			t.Errorf("panel %+v", p)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			checkExpression(t, target.Expr, all)
		}
	}
	if board.Title != "Rollcall" || len(board.Panels) < 20 {
		t.Errorf("%q with %d panels", board.Title, len(board.Panels))
	}
}

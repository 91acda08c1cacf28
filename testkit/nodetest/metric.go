package nodetest

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Metric is the value of a series of a node's /metrics, such as `rollcall_connections_closed_total{why="slow"}`.
func Metric(t testing.TB, n *Node, series string) float64 {
	t.Helper()
	_, text, _ := Request(context.Background(), http.MethodGet, n.Addr(), "/metrics", "")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("there is no %s", series)
	return 0
}

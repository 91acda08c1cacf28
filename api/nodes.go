package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/auth"
)

// nodeInfo is one live node, as of its last heartbeat.
type nodeInfo struct {
	ID          string    `json:"id"`
	Address     string    `json:"address"`
	Version     string    `json:"version"`
	PID         int       `json:"pid"`
	StartedAt   time.Time `json:"started_at"`
	Connections int       `json:"connections"`
	Channels    int       `json:"channels" doc:"Channels that this node follows: someone on it is in them or present."`
}

type nodeList struct {
	Body struct {
		Nodes []nodeInfo `json:"nodes" nullable:"false"`
	}
}

type stats struct {
	Body struct {
		Nodes       int      `json:"nodes"`
		Connections int      `json:"connections"`
		Channels    int      `json:"channels" doc:"Channels that someone is in, each counted once."`
		Unanswered  []string `json:"unanswered,omitempty" nullable:"false" doc:"Nodes that did not answer in time: their connections are those of their last heartbeat, their channels are missing."`
	}
}

// nodes registers what concerns the cluster.
func (s *Server) nodes() {
	api := s.api
	huma.Register(api, operation("list-nodes", http.MethodGet, "/_api/nodes", "List the live nodes with their load",
		auth.Read, http.StatusOK),
		func(context.Context, *struct{}) (*nodeList, error) {
			out := &nodeList{}
			out.Body.Nodes = []nodeInfo{}
			for _, n := range s.cfg.Nodes() {
				out.Body.Nodes = append(out.Body.Nodes,
					nodeInfo{n.Process, n.Address, n.Version, n.PID, n.StartedAt.UTC(), n.Connections, n.Channels})
			}
			return out, nil
		})
	huma.Register(api, operation("get-stats", http.MethodGet, "/_api/stats", "Totals of the cluster", auth.Read,
		http.StatusOK),
		func(ctx context.Context, _ *struct{}) (*stats, error) {
			t, err := s.cfg.Hub.Totals(ctx)
			if err != nil {
				return nil, s.fail(err)
			}
			out := &stats{}
			out.Body.Nodes, out.Body.Connections, out.Body.Channels, out.Body.Unanswered = t.Nodes, t.Connections, t.Channels,
				t.Silent
			return out, nil
		})
}

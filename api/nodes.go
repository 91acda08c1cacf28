package api

import (
	"context"
	"net/http"
	"reflect"
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
	Channels    int       `json:"channels" doc:"Channels that someone on this node is in."`
}

type nodeList struct {
	Body struct {
		Nodes []nodeInfo `json:"nodes" nullable:"false"`
	}
}

type stats struct {
	Body struct {
		Nodes       int `json:"nodes"`
		Connections int `json:"connections"`
		Channels    int `json:"channels" doc:"Channels summed over nodes: one with members on two nodes counts twice."`
	}
}

// nodes registers what concerns the cluster.
func (s *Server) nodes(api huma.API) {
	huma.Register(api, operation("list-nodes", http.MethodGet, "/_api/nodes", "List the live nodes with their load", auth.Read, http.StatusOK),
		func(context.Context, *struct{}) (*nodeList, error) {
			out := &nodeList{}
			out.Body.Nodes = []nodeInfo{}
			for _, n := range s.cfg.Nodes() {
				out.Body.Nodes = append(out.Body.Nodes, nodeInfo{n.Process, n.Address, n.Version, n.PID, n.StartedAt, n.Connections, n.Channels})
			}
			return out, nil
		})
	huma.Register(api, operation("get-stats", http.MethodGet, "/_api/stats", "Totals of the cluster", auth.Read, http.StatusOK),
		func(context.Context, *struct{}) (*stats, error) {
			out := &stats{}
			for _, n := range s.cfg.Nodes() {
				out.Body.Nodes++
				out.Body.Connections += n.Connections
				out.Body.Channels += n.Channels
			}
			return out, nil
		})
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

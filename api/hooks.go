package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/auth"
	"rollcall/hooks"
)

// Hooks are those of the app; *hooks.Hooks is one.
type Hooks interface {
	List(ctx context.Context) ([]hooks.Status, error)
	Sync(ctx context.Context, name string) error
}

type hookInfo struct {
	Name      string `json:"name"`
	State     string `json:"state" enum:"ok,failing,syncing,paused"`
	Owed      int64  `json:"owed" doc:"Changes of users that it has not told yet."`
	OldestMS  int64  `json:"oldest_ms" doc:"How long the oldest of them has waited."`
	Delivered int64  `json:"delivered" doc:"Events that its sink has acknowledged."`
	LastError string `json:"last_error" doc:"Why its sink did not acknowledge a request, the last time. Empty: it always did."`
}

type hookList struct {
	Body struct {
		Hooks []hookInfo `json:"hooks" nullable:"false"`
	}
}

type hookPath struct {
	Name string `path:"name"`
}

// hooks registers what is about events for back ends.
func (s *Server) hooks() {
	huma.Register(s.api, operation("list-hooks", http.MethodGet, "/_api/hooks", "List the hooks of the app, and what they owe",
		auth.Read, http.StatusOK),
		func(ctx context.Context, _ *struct{}) (*hookList, error) {
			all, err := s.cfg.Hooks.List(ctx)
			if err != nil {
				return nil, s.fail(err)
			}
			out := &hookList{}
			out.Body.Hooks = []hookInfo{}
			for _, h := range all {
				out.Body.Hooks = append(out.Body.Hooks,
					hookInfo{h.Name, string(h.State), h.Owed, h.OldestMS, h.Delivered, h.LastError})
			}
			return out, nil
		})
	op := operation("sync-hook", http.MethodPost, "/_api/hooks/{name}/sync",
		"Tell a hook's sink of everything anew; a paused hook goes on", auth.Admin, http.StatusNoContent, http.StatusNotFound)
	huma.Register(s.api, op, func(ctx context.Context, in *hookPath) (*struct{}, error) {
		err := s.cfg.Hooks.Sync(ctx, in.Name)
		s.audit(ctx, "synchronise hook", outcomeOf(err), "hook", in.Name)
		return nil, s.fail(err)
	})
}

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"rollcall/integration_test/chaos/history"
	"rollcall/testkit/nodetest"
)

// usersDiffer asks one node after another for all people, keeps its answer, and says who is online there and not in
// truth, or the other way round, or "".
func (r *run) usersDiffer() string {
	online := map[string]bool{}
	for _, d := range r.connected() {
		online[d.hist.User] = online[d.hist.User] || !d.gone() && d.hist.Route.Identifies()
	}
	var ids []string
	for i := range r.plan.People {
		ids = append(ids, personName(i))
	}
	live := slices.DeleteFunc(slices.Clone(r.site.all()), func(h *host) bool { return h.node.Exited() })
	if len(live) == 0 {
		return "no node is there to be asked"
	}
	h := live[len(r.rec.Points)%len(live)]
	users, err := ask[[]struct {
		UserID   string `json:"user_id"`
		Online   bool   `json:"online"`
		LastSeen int64  `json:"last_seen"`
	}](h, "ws_users", ids)
	if err != nil || len(users) != len(ids) {
		return fmt.Sprintf("users of %s: %v %v", h.name, users, err)
	}
	r.sightings = nil
	for _, u := range users {
		if u.Online != online[u.UserID] {
			return fmt.Sprintf("%s says of %s that it is online: %v", h.name, u.UserID, u.Online)
		}
		s := history.Sighting{At: r.clock.now(), User: u.UserID, Online: u.Online, LastSeen: history.Never}
		if u.LastSeen != 0 {
			s.LastSeen = time.UnixMilli(u.LastSeen).Sub(r.rec.Began)
		}
		r.sightings = append(r.sightings, s)
	}
	return ""
}

// ask calls a function of handlers on a node, and gives its result.
func ask[T any](h *host, function string, arg any) (result T, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	status, answer, _ := nodetest.Request(ctx, http.MethodPost, h.node.Addr(), "/call",
		nodetest.JSON(map[string]any{"call": function, "args": []any{arg}}), "Content-Type: application/json")
	var reply struct {
		Error   string
		Results []T
	}
	if status != http.StatusOK || json.Unmarshal([]byte(answer), &reply) != nil || reply.Error != "" ||
		len(reply.Results) != 1 {
		return result, fmt.Errorf("%d %s", status, answer)
	}
	return reply.Results[0], nil
}

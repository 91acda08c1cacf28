package hub

import (
	"context"
	"sync"
	"time"
)

// linger keeps the presence of a connection that dropped, and a reference on its room, until its time is over.
type linger struct {
	room       *room
	conn, user string
	timer      *time.Timer
}

// linger begins to wait. It takes over the caller's reference on the room.
func (h *Hub) linger(r *room, connID, user string) {
	l := &linger{room: r, conn: connID, user: user}
	h.roomsMu.Lock()
	defer h.roomsMu.Unlock()
	h.lingers[l] = struct{}{}
	l.timer = time.AfterFunc(h.cfg.Linger, func() {
		if h.claim(l) {
			h.end(l)
			h.done.Done()
		}
	})
}

// claim tells whether the caller is the one to end it; then Close waits for it.
func (h *Hub) claim(l *linger) bool {
	h.roomsMu.Lock()
	defer h.roomsMu.Unlock()
	if _, ok := h.lingers[l]; !ok {
		return false
	}
	delete(h.lingers, l)
	h.done.Add(1)
	return true
}

func (h *Hub) end(l *linger) {
	h.untrack(l.room, l.conn, l.user)
	h.leave(l.room)
}

// endLingers ends all of them now: the node stops.
func (h *Hub) endLingers(ctx context.Context) {
	h.roomsMu.Lock()
	all := make([]*linger, 0, len(h.lingers))
	for l := range h.lingers {
		l.timer.Stop()
		all = append(all, l)
	}
	clear(h.lingers)
	h.roomsMu.Unlock()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for _, l := range all {
		if ctx.Err() != nil {
			break // the reaper does it
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			h.end(l)
		})
	}
	wg.Wait()
}

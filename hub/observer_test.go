package hub

import (
	"testing"
	"time"
)

// fanOuts is an Observer.
type fanOuts struct{ n int }

func (f *fanOuts) Published(time.Duration) {}

func (f *fanOuts) FannedOut(took time.Duration) {
	if took > 0 {
		f.n++
	}
}

// Each broadcast is told once, to a channel or to everyone; what is no broadcast is not.
func TestFanOutsAreTold(t *testing.T) {
	seen := &fanOuts{}
	h := &Hub{cfg: Config{Observer: seen}, sessions: map[string]*Session{}}
	r := &room{h: h, name: "room"}
	for i, payload := range []string{"bsender 1 text", "j 1 {}", "b broken", ""} {
		r.Receive(payload)
		everyone{h}.Receive(payload)
		if want := min(2*(i+1), 4); seen.n != want {
			t.Errorf("after %q: told %d times, want %d", payload, seen.n, want)
		}
	}
}

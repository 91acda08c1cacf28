package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"rollcall/redisconn"
	"rollcall/testkit/redistest"
)

// A node has at most so many questions open, and answers at most so many at once; what is beyond has its outcome, and counts.
func TestTooManyQuestions(t *testing.T) {
	r := redistest.Standalone(t)
	a, b := newMember(t, r.URL(), time.Minute), newMember(t, r.URL(), time.Minute)
	eventually(t, "they see each other", func() bool { return len(a.Nodes()) == 2 })
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	b.mu.Lock()
	b.answer = func(context.Context, string, string) (string, error) {
		<-hold
		return "answer", nil
	}
	b.mu.Unlock()
	ask := func(n int) (answered, silent, refused int) {
		var mu sync.Mutex
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				_, ok, err := a.AskOne(t.Context(), b.Process(), "k", "")
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, redisconn.ErrUnavailable):
					refused++
				case err != nil:
					t.Error(err)
				case ok:
					answered++
				default:
					silent++
				}
			})
		}
		all.Wait()
		return answered, silent, refused
	}
	if answered, silent, _ := ask(maxAnswering + 20); answered != 0 || silent != maxAnswering+20 || b.stats.Dropped.Load() != 20 {
		t.Errorf("%d answered, %d silent, %d dropped", answered, silent, b.stats.Dropped.Load())
	}
	for range maxAsking { // as many as may be are open
		a.calls.asking <- struct{}{}
	}
	if _, _, refused := ask(3); refused != 3 || a.stats.Refused.Load() != 3 {
		t.Errorf("%d refused, %d counted", refused, a.stats.Refused.Load())
	}
	for range maxAsking {
		<-a.calls.asking
	}
	release()
	if answered, _, _ := ask(10); answered != 10 {
		t.Errorf("%d of 10 answered", answered)
	}
}

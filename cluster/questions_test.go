package cluster

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// A node has at most so many questions open, and answers at most so many at once; what is beyond has its outcome, and
// counts.
func TestTooManyQuestions(t *testing.T) {
	r := redistest.Standalone(t)
	a, b := newMember(t, r.URL(), time.Minute), newMember(t, r.URL(), time.Minute)
	testkit.Eventually(t, "they see each other", func() bool { return len(a.Nodes()) == 2 })
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
	if answered, silent, _ := ask(maxAnswering + 20); answered != 0 || silent != maxAnswering+20 {
		t.Errorf("%d answered, %d silent", answered, silent)
	}
	testkit.Eventually(t, "those beyond are dropped", func() bool { return b.stats.Dropped.Load() == 20 })
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
	testkit.Eventually(t, "the first ones are answered", func() bool { return len(b.calls.slots) == 0 })
	if answered, _, _ := ask(10); answered != 10 {
		t.Errorf("%d of 10 answered", answered)
	}
}

// Long answers leave one after another: never are more bytes of them on their way than may be. What waits too long is
// dropped and counts.
func TestLongAnswers(t *testing.T) {
	r := redistest.Standalone(t)
	a, b := newMember(t, r.URL(), time.Minute), newMember(t, r.URL(), time.Minute)
	testkit.Eventually(t, "they see each other", func() bool { return len(a.Nodes()) == 2 })
	b.mu.Lock()
	b.answer = func(_ context.Context, _, size string) (string, error) {
		n, err := strconv.Atoi(size)
		return strings.Repeat("x", n), err
	}
	b.mu.Unlock()
	const longer = answerBytes/2 + 1
	if !b.calls.bytes.TryAcquire(answerBytes / 2) { // as if another long answer were on its way
		t.Fatal("somebody answers")
	}
	if _, ok, err := a.AskOne(t.Context(), b.Process(), "k", strconv.Itoa(longer)); ok || err != nil {
		t.Fatalf("there was no room for the answer: %v, %v", ok, err)
	}
	testkit.Eventually(t, "it counts as dropped", func() bool { return b.stats.Dropped.Load() == 1 })
	b.calls.bytes.Release(answerBytes / 2)
	for _, n := range []int{longer, answerBytes + 1} {
		if body, ok, err := a.AskOne(t.Context(), b.Process(), "k", strconv.Itoa(n)); len(body) != n || !ok || err != nil {
			t.Fatalf("%d bytes of %d: %v, %v", len(body), n, ok, err)
		}
	}
	testkit.Eventually(t, "what was sent counts no more", func() bool { return b.calls.bytes.TryAcquire(answerBytes) })
}

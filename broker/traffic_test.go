package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/testkit"
)

// ledger is a receiver that keeps the order of what it is told: numbers, and -1 for Resubscribed.
type ledger struct {
	mu   sync.Mutex
	told []int
	last int
}

func (l *ledger) Receive(payload string) {
	n, err := strconv.Atoi(payload)
	if err != nil {
		n = -2
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, n)
	l.last = n
}

func (l *ledger) Resubscribed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, -1)
}

func (l *ledger) resubscribed() (times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.told {
		if n == -1 {
			times++
		}
	}
	return times
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.told)
}

func (l *ledger) reached(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last == n
}

// traffic publishes numbered messages on topics, one publisher for each, until it is stopped.
type traffic struct {
	t       *testing.T
	sender  *node
	topics  []string
	ledgers []*ledger
	failed  []map[int]bool // numbers whose publish gave an error or was in doubt: they may have arrived or not
	next    []int
	stop    context.CancelFunc
	running sync.WaitGroup

	// heard, once doubted, tells whether the sender has heard of a failover on request of the topics of moving. Until
	// then it publishes at the old master, a replica now, which takes the message. It passes it on to the new one, so
	// the message may come after ones that were sent later; or, if the two masters do not know each other in their new
	// roles yet, it is lost for receivers that have left the old one, though its publish succeeds. Broadcasts are at
	// most once.
	heard   func() bool
	moving  []int
	doubted atomic.Bool
}

// startTraffic subscribes listener to topics and has sender publish on them.
func startTraffic(t *testing.T, sender, listener *node, topics []string) *traffic {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	tr := &traffic{t: t, sender: sender, topics: topics, next: make([]int, len(topics)), stop: stop}
	t.Cleanup(func() { stop(); tr.running.Wait() })
	for i, topic := range topics {
		tr.ledgers = append(tr.ledgers, new(ledger))
		tr.failed = append(tr.failed, make(map[int]bool))
		listener.subscribe(t, topic, tr.ledgers[i])
	}
	for i := range topics {
		tr.running.Go(func() { tr.publish(ctx, i) })
	}
	return tr
}

func (tr *traffic) publish(ctx context.Context, i int) {
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		n := tr.next[i]
		doubtful := tr.doubtful(i)
		if err := tr.sender.Publish(context.Background(), tr.topics[i], strconv.AppendInt(nil, int64(n), 10)); err != nil ||
			doubtful || tr.doubtful(i) {
			tr.failed[i][n] = true
		}
		tr.next[i]++
		<-pace.C
	}
}

// doubt says that from now on messages on the topics of moving may be lost, until heard says that the sender has heard
// of the failover.
func (tr *traffic) doubt(moving []int, heard func() bool) {
	tr.moving, tr.heard = moving, heard
	tr.doubted.Store(true)
}

// doubtful tells whether what is published on topic i now may be lost.
func (tr *traffic) doubtful(i int) bool {
	return tr.doubted.Load() && slices.Contains(tr.moving, i) && !tr.heard()
}

// flow waits until every receiver has been told some more messages.
func (tr *traffic) flow() {
	tr.t.Helper()
	for i, l := range tr.ledgers {
		enough := l.count() + 100
		testkit.Eventually(tr.t, "messages of "+tr.topics[i]+" come", func() bool { return l.count() >= enough })
	}
}

// end stops the traffic, waits until the last message of each topic is heard, and checks what the receivers were told:
// the order of the numbers, and that none is missing but where Resubscribed was called. SPEC 5.3: "in the same order
// for all subscribers of a channel from one sender".
func (tr *traffic) end() {
	tr.t.Helper()
	tr.stop()
	tr.running.Wait()
	for i, l := range tr.ledgers {
		testkit.Eventually(tr.t, "the last message of "+tr.topics[i], func() bool {
			n := tr.next[i]
			tr.next[i]++
			tr.failed[i][n] = tr.doubtful(i)
			if err := tr.sender.Publish(tr.t.Context(), tr.topics[i], strconv.AppendInt(nil, int64(n), 10)); err != nil {
				tr.failed[i][n] = true
				return false
			}
			deadline := time.Now().Add(100 * time.Millisecond)
			for !l.reached(n) && time.Now().Before(deadline) {
				time.Sleep(time.Millisecond)
			}
			return l.reached(n)
		})
		tr.check(i)
	}
}

func (tr *traffic) check(i int) {
	tr.t.Helper()
	l := tr.ledgers[i]
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(map[int]bool)
	for _, n := range l.told {
		if n >= 0 && seen[n] {
			tr.t.Errorf("%s: %d came twice", tr.topics[i], n)
		}
		seen[n] = true
	}
	last, again := -1, false
	for at, n := range l.told {
		switch {
		case n == -1:
			again = true
			continue
		case tr.doubted.Load() && tr.failed[i][n]:
			continue // it may come long after Resubscribed, and says nothing of what came before that
		case n < last:
			tr.t.Errorf("%s: %d after %d (%s)", tr.topics[i], n, last, around(l.told, at))
		}
		for missing := last + 1; missing < n && !again; missing++ {
			if !tr.failed[i][missing] && !seen[missing] {
				tr.t.Errorf("%s: %d is missing, and Resubscribed was not called (%s)", tr.topics[i], missing, around(l.told, at))
			}
		}
		last, again = n, false
	}
}

func around(told []int, at int) string { return fmt.Sprint(told[max(0, at-60):min(len(told), at+60)]) }

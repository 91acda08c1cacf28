package hooks

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	firstWait = 100 * time.Millisecond
	lastWait  = 3 * time.Second
)

// backoff lets requests to a sink pass: all that come while it acknowledges them. While it does not, one passes at a
// time, each after a longer wait.
type backoff struct {
	token chan struct{} // holds a token while nobody tries a sink that fails

	mu   sync.Mutex
	wait time.Duration // 0: the sink does not fail
	till time.Time     // of the next try
}

func newBackoff() *backoff {
	b := &backoff{token: make(chan struct{}, 1)}
	b.token <- struct{}{}
	return b
}

// failing tells whether the last request failed, and when the next may be made.
func (b *backoff) failing() (failing bool, till time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wait != 0, b.till
}

// pass waits until a request may be made, and makes it.
func (b *backoff) pass(ctx context.Context, try func() error) error {
	if failing, _ := b.failing(); !failing {
		err := try()
		b.told(err)
		return err
	}
	select {
	case <-b.token:
		defer func() { b.token <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if failing, till := b.failing(); failing {
		select {
		case <-time.After(time.Until(till)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := try()
	b.told(err)
	return err
}

// told notes how a request ended.
func (b *backoff) told(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.wait = 0
		return
	case errors.Is(err, errLost): // none was made
		return
	}
	b.wait = min(max(2*b.wait, firstWait), lastWait)
	b.till = time.Now().Add(b.wait - b.wait/10 + rand.N(b.wait/10))
}

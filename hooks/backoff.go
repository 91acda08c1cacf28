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

// gate lets requests to a sink pass: all that come while it acknowledges them, and one at a time, each after a longer
// wait, while it does not.
type gate struct {
	turns chan struct{} // holds a token while nobody tries a sink that fails

	mu   sync.Mutex
	wait time.Duration // 0: the sink does not fail
	till time.Time     // of the next try
}

func newGate() *gate {
	g := &gate{turns: make(chan struct{}, 1)}
	g.turns <- struct{}{}
	return g
}

// failing tells whether the last request failed, and when the next may be made.
func (g *gate) failing() (failing bool, till time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wait != 0, g.till
}

// pass waits until a request may be made, and makes it.
func (g *gate) pass(ctx context.Context, try func() error) error {
	if failing, _ := g.failing(); !failing {
		err := try()
		g.told(err)
		return err
	}
	select {
	case <-g.turns:
		defer func() { g.turns <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if failing, till := g.failing(); failing {
		select {
		case <-time.After(time.Until(till)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := try()
	g.told(err)
	return err
}

// told notes how a request ended.
func (g *gate) told(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		g.wait = 0
		return
	case errors.Is(err, errLost): // none was made
		return
	}
	g.wait = min(max(2*g.wait, firstWait), lastWait)
	g.till = time.Now().Add(g.wait - g.wait/10 + rand.N(g.wait/10))
}

package main

import (
	"context"
	"time"

	"rollcall/outbox"
)

// How long a node takes to end after --drain (SPEC 3).
const (
	afterDrain = 2 * time.Second         // then it is over in any case
	toAnswer   = 1200 * time.Millisecond // of it: for clients to answer the close frame, and for their disconnect handlers
	toRequests = 200 * time.Millisecond  // of it: for requests under way
	devEnd     = 800 * time.Millisecond  // all of it, with --dev and without --drain
)

const restartReason = "the node restarts; connect again"

// close sends the clients away and closes everything, at the latest afterDrain after --drain. What then still waits for
// a Redis, a request or a script that hangs is left behind: the process ends, and others find what it held by its
// lease.
func (n *node) close() {
	n.draining.Store(true)
	n.app.StopJobs()
	n.log.Info("draining", "connections", n.sockets.Len(), "over", n.cfg.drain)
	within := n.cfg.drain + afterDrain
	if n.cfg.endsAtOnce {
		within = devEnd
		_ = n.ln.Close() // who starts it again at once gets the port
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.drain(ctx)
		requests, cancel := context.WithTimeout(ctx, toRequests)
		defer cancel()
		_ = n.http.Shutdown(requests) // requests that are still under way after that are cut
		n.closeRooms(ctx)
	}()
	select {
	case <-done:
		n.log.Info("node is down")
	case <-ctx.Done():
		n.log.Warn("the node ends although something still hangs", "connections", n.sockets.Len())
	}
}

// drain closes the connections one after another over the drain time, and returns as soon as all are gone.
func (n *node) drain(ctx context.Context) {
	began := time.Now()
	var conns []*outbox.Conn
	n.sockets.Each(func(c *outbox.Conn) { conns = append(conns, c) })
	total, next := len(conns), 0 // next of conns to be closed
	for n.sockets.Len() > 0 && time.Since(began) < n.cfg.drain+toAnswer && ctx.Err() == nil {
		for next < total && time.Since(began) >= n.cfg.drain*time.Duration(next)/time.Duration(total) {
			conns[next].CloseFor(outbox.WhyDrained, outbox.CodeRestart, restartReason)
			next++
		}
		if next == total { // others may have come in meanwhile
			n.sockets.Each(func(c *outbox.Conn) { c.CloseFor(outbox.WhyDrained, outbox.CodeRestart, restartReason) })
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// closeRooms closes what was built, in reverse.
func (n *node) closeRooms(ctx context.Context) {
	if n.http != nil {
		_ = n.http.Close() // its listener with it
		<-n.served
	}
	n.health.close(ctx)
	if n.egress != nil {
		n.egress.Close() // so that no handler waits for it
	}
	if n.sockets != nil {
		n.sockets.Close()
	}
	if n.app != nil {
		n.app.Close()
	}
	if n.scripts != nil {
		n.scripts.Close()
	}
	if n.storeQuota != nil {
		n.storeQuota.Close()
	}
	if n.hub != nil {
		n.hub.Close()
		n.tracker.Close()
		if n.hooks != nil {
			n.hooks.Close(ctx) // after the last leaves
		}
		if err := n.cluster.Close(ctx); err != nil {
			n.log.Warn("give up the lease failed", "error", err)
		}
	}
	if n.keys != nil {
		n.keys.Close()
	}
	if n.tokens != nil {
		n.tokens.Close()
	}
	if n.broker != nil {
		n.broker.Close()
	}
	if n.redis != nil {
		if err := n.redis.Close(); err != nil {
			n.log.Warn("close Redis failed", "error", err)
		}
	}
}

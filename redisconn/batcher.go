package redisconn

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// defaultBatchers and clusterBatchers are the defaults of Config.Batchers. For one Redis one pipeline in flight is
	// best (BenchmarkDo: more of them are smaller); a Cluster gets more so that a dead master holds up the commands of
	// few other slots.
	defaultBatchers = 1
	clusterBatchers = 8

	// queueLimit bounds the commands that wait for one batcher, and queueBytes what those of all batchers carry, each
	// having the same share; beyond: ErrOverloaded. One command alone may be of any size.
	queueLimit = 1 << 16
	queueBytes = 64 << 20
	// commandCost is what a waiting command counts besides its arguments, in bytes.
	commandCost = 128
)

// request is one command on its way through a batcher.
//
//	queued ──▶ taken ──▶ finished         the caller reads the outcome
//	   │         └─────▶ abandoned        the caller left: outcome unknown
//	   └───────────────▶ abandoned        the caller left: never sent
type request struct {
	cmd   *redis.Cmd
	cost  int // of the queue, while it waits there
	state atomic.Int32
	err   error         // set before finished
	ready chan struct{} // for a caller who waits; capacity 1
	timer *time.Timer   // of the caller who waits
	done  func(error)   // for Submit instead
	since time.Time     // Submit: when it was queued
}

const (
	queued int32 = iota
	taken
	finished
	abandoned
)

// awaitedRequest makes one for callers who wait, to be used again.
func awaitedRequest() any {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &request{ready: make(chan struct{}, 1), timer: timer}
}

func newRequest(cmd *redis.Cmd) *request { return &request{cmd: cmd, since: time.Now()} }

// wait returns nil once the request is finished, else why the caller need not wait longer.
func (r *request) wait(ctx context.Context, timeout time.Duration) error {
	r.timer.Reset(timeout)
	defer r.timer.Stop()
	select {
	case <-r.ready:
		return nil
	case <-ctx.Done():
	case <-r.timer.C:
	}
	switch {
	case r.state.CompareAndSwap(queued, abandoned):
		return left(ctx, false)
	case r.state.CompareAndSwap(taken, abandoned):
		return left(ctx, true)
	}
	<-r.ready // finished just now
	return nil
}

// finish gives the outcome to whoever wants it.
func (r *request) finish(err error) {
	if r.done != nil {
		r.done(err)
		return
	}
	r.err = err
	if r.state.CompareAndSwap(taken, finished) {
		r.ready <- struct{}{}
	}
}

// batcher sends the commands of its share of the keys, one pipeline at a time. What is queued while one pipeline is in
// flight makes the next, with what comes while that waits for others (gathering).
//
// A caller who finds nothing in flight, and need not wait, sends its command itself: with little to do no goroutine has
// to be woken for it and for its answer. What others queue meanwhile is left to run.
//
// Invariant: bytes is the sum of the costs in queue; it is at most most, or queue has one command. While sending is set
// one goroutine uses pipe, or waits to: a caller, or run. While it is not, the queue is empty, or run has been woken.
type batcher struct {
	c    *Client
	pipe redis.Pipeliner
	most int // bytes in the queue

	// owned by run
	batch []*request
	cmds  []redis.Cmder

	mu        sync.Mutex
	more      sync.Cond // on mu: run may have something to do
	queue     []*request
	bytes     int
	gathering gathering
	sending   bool
	closed    bool
}

func newBatcher(c *Client) *batcher {
	w := &batcher{c: c, pipe: c.redis.Pipeline(), most: queueBytes / c.cfg.Batchers,
		gathering: gathering{every: c.cfg.Gather}}
	w.more.L = &w.mu
	return w
}

// sendNow carries out a command at once, in the caller's goroutine; false: others are being sent, or wait, or it is to
// wait for others.
func (w *batcher) sendNow(cmd *redis.Cmd) (sent bool, err error) {
	now := w.c.now()
	w.mu.Lock()
	if w.sending || w.closed || len(w.queue) > 0 || w.gathering.wait(now, 1) > 0 {
		w.mu.Unlock()
		return false, nil
	}
	w.sending = true
	w.gathering = w.gathering.begins(now)
	w.mu.Unlock()
	w.send([]redis.Cmder{cmd})
	if w.sent() {
		w.more.Signal()
	}
	return true, classify(cmd.Err())
}

// deadline is a context with a deadline but no timer: go-redis gives it to the connection.
type deadline struct {
	context.Context
	at time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.at, true }

// sent notes that pipe is free again; more: there is something to do for run.
func (w *batcher) sent() (more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sending = false
	return len(w.queue) > 0 || w.closed
}

// send carries out commands in one pipeline.
func (w *batcher) send(cmds []redis.Cmder) {
	w.c.execute(deadline{w.c.ctx, time.Now().Add(w.c.cfg.Timeout)}, w.pipe, cmds)
}

// batcher returns the one that commands with this command's first key go through.
func (c *Client) batcher(cmd *redis.Cmd) *batcher {
	n := len(c.batchers)
	if n == 1 {
		return c.batchers[0]
	}
	key := routingKey(cmd.Args())
	if c.kind == Cluster {
		return c.batchers[Slot(key)*n/Slots]
	}
	return c.batchers[maphash.String(c.seed, hashTag(key))%uint64(n)]
}

// routingKey is the first key of the commands that we use; for others, whatever stands there.
func routingKey(args []any) string {
	i := 1
	if name, _ := args[0].(string); len(args) > 3 && strings.HasPrefix(name, "eval") {
		i = 3
	}
	if i >= len(args) {
		return ""
	}
	key, _ := args[i].(string)
	return key
}

func (w *batcher) push(r *request) error {
	r.cost = costOf(r.cmd)
	w.mu.Lock()
	switch {
	case w.closed:
		w.mu.Unlock()
		return notSent(ErrClosed)
	case len(w.queue) >= queueLimit, len(w.queue) > 0 && w.bytes+r.cost > w.most:
		w.mu.Unlock()
		w.c.cfg.Observer.Failed(Overloaded)
		return notSent(ErrOverloaded)
	}
	w.queue = append(w.queue, r)
	w.bytes += r.cost
	wake := len(w.queue) == 1 && !w.sending || len(w.queue) == gatherEnough
	w.mu.Unlock()
	if wake {
		w.more.Signal()
	}
	return nil
}

// costOf is what a command takes of a queue, in bytes.
func costOf(cmd *redis.Cmd) int {
	n := commandCost
	for _, arg := range cmd.Args() {
		switch arg := arg.(type) {
		case string:
			n += len(arg)
		case []byte:
			n += len(arg)
		}
	}
	return n
}

func (w *batcher) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.more.Signal()
}

func (w *batcher) run() {
	for w.next() {
		if w.c.ctx.Err() != nil {
			w.refuse(ErrClosed)
		} else {
			w.send(w.cmds)
			for i, r := range w.batch {
				r.finish(classify(w.cmds[i].Err()))
			}
		}
		w.sent()
	}
}

// next waits for commands and takes them, up to perPipeline. False: closed, and none is left.
func (w *batcher) next() bool {
	clear(w.batch)
	clear(w.cmds)
	w.batch, w.cmds = w.batch[:0], w.cmds[:0]
	w.mu.Lock()
	for w.sending || len(w.queue) == 0 && !w.closed {
		w.more.Wait()
	}
	w.gatherLocked()
	n := min(len(w.queue), perPipeline)
	if w.sending = n > 0; w.sending {
		w.gathering = w.gathering.begins(w.c.now())
	}
	late := w.queue[:n]
	for _, r := range late {
		w.bytes -= r.cost
	}
	w.batch = append(w.batch, late...)
	rest := copy(w.queue, w.queue[n:])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	w.mu.Unlock()
	w.choose()
	return n > 0
}

// gatherLocked waits, without the lock, for more commands.
func (w *batcher) gatherLocked() {
	wait := w.gathering.wait(w.c.now(), len(w.queue))
	if wait == 0 || w.closed {
		return
	}
	w.sending = true
	timer := time.AfterFunc(wait, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.more.Signal()
	})
	defer timer.Stop()
	for w.gathering.wait(w.c.now(), len(w.queue)) > 0 && !w.closed {
		w.more.Wait()
	}
}

// choose drops from the batch what nobody waits for any more, and fills cmds.
func (w *batcher) choose() {
	kept := w.batch[:0]
	var now time.Time
	for _, r := range w.batch {
		if r.done == nil {
			if !r.state.CompareAndSwap(queued, taken) {
				continue
			}
		} else {
			if now.IsZero() {
				now = time.Now()
			}
			if now.Sub(r.since) > w.c.cfg.Timeout {
				w.c.cfg.Observer.Failed(Timeout)
				r.done(notSent(errTimeout))
				continue
			}
		}
		kept = append(kept, r)
		w.cmds = append(w.cmds, r.cmd)
	}
	w.batch = kept
}

// refuse ends the batch unsent.
func (w *batcher) refuse(cause error) {
	for _, r := range w.batch {
		r.finish(notSent(cause))
	}
}

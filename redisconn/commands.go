package redisconn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// perPipeline bounds the commands of one pipeline.
const perPipeline = 512

// Do runs one command, in a pipeline with those of others, and returns its answer:
// string, int64, nil or []any of these; HGETALL is a flat []any. No such value: (nil, Nil). In a Cluster the
// command goes to the slot of its first key; those without a key go to any node.
//
// Arguments are strings, []byte, integers, floats. A []byte must not change until Do returns, and never after
// ErrUnknown.
func (c *Client) Do(ctx context.Context, args ...any) (any, error) {
	return c.Process(ctx, redis.NewCmd(ctx, args...))
}

// Run runs a script, like Do. In a Cluster it needs at least one key.
func (c *Client) Run(ctx context.Context, s *Script, keys []string, args ...any) (any, error) {
	return c.Process(ctx, s.Command(ctx, keys, args...))
}

// Submit queues a command without waiting for it: for callers who start many at once. done is called exactly once, from
// a goroutine of the client, with nil, Nil or the error; the answer is in cmd. It must not block. Commands that one
// goroutine submits for the same first key (or the same Cluster slot) run in that order, except that a script Redis did
// not know runs after the others of its pipeline. An error (ErrUnavailable: the queue is full, or Close was called)
// means that the command was not queued and done is never called.
func (c *Client) Submit(cmd *redis.Cmd, done func(error)) error {
	r := newRequest(cmd)
	r.done = done
	return c.batcher(cmd).push(r)
}

// Process is Do for a command that was made before. Its answer is in it too.
func (c *Client) Process(ctx context.Context, cmd *redis.Cmd) (any, error) {
	if ctx.Err() != nil {
		return nil, left(ctx, false)
	}
	w := c.batcher(cmd)
	if _, bounded := ctx.Deadline(); !bounded {
		if sent, err := w.sendNow(cmd); sent {
			if err != nil {
				return nil, err
			}
			return cmd.Val(), nil
		}
	}
	r := c.requests.Get().(*request)
	r.cmd = cmd
	r.state.Store(queued)
	if err := w.push(r); err != nil {
		return nil, err
	}
	if err := r.wait(ctx, c.cfg.Timeout); err != nil {
		c.gaveUp(err)
		return nil, err // r stays with the batcher
	}
	err := r.err
	r.cmd, r.err = nil, nil
	c.requests.Put(r)
	if err != nil {
		return nil, err
	}
	return cmd.Val(), nil
}

// Batch runs many commands one after another, in as few pipelines as it takes, on a connection of its own. Each command
// keeps its own answer and error. The error returned is the first ErrUnavailable among them, as other errors are
// answers; so nil means that Redis has answered every command. The errors in the commands are go-redis's own. A script
// in it is run again with its source after all others when Redis did not know it. In a Cluster commands of different
// slots may overtake each other. Batch waits for the answer even if ctx is cancelled, but not beyond its deadline.
func (c *Client) Batch(ctx context.Context, cmds []redis.Cmder) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var first error
	for len(cmds) > 0 {
		n := min(len(cmds), perPipeline)
		if c.ctx.Err() != nil {
			return fmt.Errorf("batch: %w", notSent(ErrClosed))
		}
		c.execute(ctx, c.redis.Pipeline(), cmds[:n])
		for _, cmd := range cmds[:n] {
			if err := classify(cmd.Err()); first == nil && isUnavailable(err) {
				first = fmt.Errorf("batch: %s: %w", cmd.Name(), err)
			}
		}
		cmds = cmds[n:]
	}
	return first
}

// execute sends cmds in one pipeline, then once more, with their source, the scripts Redis did
// not know. Every command has its outcome when it returns. It tells OnBreak when one is unknown.
func (c *Client) execute(ctx context.Context, pipe redis.Pipeliner, cmds []redis.Cmder) {
	began := time.Now()
	defer func() { c.cfg.Observer.Batched(len(cmds), time.Since(began)) }()
	if !c.noFlags.Load() {
		withFlags(cmds)
	}
	c.pipeline(ctx, pipe, cmds)
	var evals []redis.Cmder
	var originals []*redis.Cmd
	broken := false
	for _, cmd := range cmds {
		err := cmd.Err()
		if err == nil || err == Nil {
			continue
		}
		if original, ok := cmd.(*redis.Cmd); ok {
			if eval := withSource(ctx, cmd); eval != nil {
				evals = append(evals, eval)
				originals = append(originals, original)
				continue
			}
		}
		broken = c.failed(err) || broken
	}
	if len(evals) > 0 {
		c.pipeline(ctx, pipe, evals)
		c.evalWithoutFlags(ctx, pipe, evals)
		for i, eval := range evals {
			eval := eval.(*redis.Cmd)
			originals[i].SetVal(eval.Val())
			originals[i].SetErr(eval.Err())
			if err := eval.Err(); err != nil && err != Nil {
				broken = c.failed(err) || broken
			}
		}
	}
	if broken {
		c.ReportBreak()
	}
}

// evalWithoutFlags sends again, without their flags, the scripts whose flags Redis does not know. From then on none is
// sent with flags: a Redis before 7.0 may come and go behind Sentinel, and in a Cluster.
func (c *Client) evalWithoutFlags(ctx context.Context, pipe redis.Pipeliner, evals []redis.Cmder) {
	var plain []redis.Cmder
	var at []int
	for i, eval := range evals {
		if cmd := withoutFlags(ctx, eval); cmd != nil {
			plain, at = append(plain, cmd), append(at, i)
		}
	}
	if len(plain) == 0 {
		return
	}
	if !c.noFlags.Swap(true) && c.embedded == nil {
		c.cfg.Log.Warn("redis is older than 7.0: should it reach its maxmemory, nodes lose their leases")
	}
	c.pipeline(ctx, pipe, plain)
	for i, cmd := range plain {
		evals[at[i]] = cmd
	}
}

// failed tells the observer of a command's error, and whether its outcome is unknown.
func (c *Client) failed(err error) (broken bool) {
	err = classify(err)
	c.cfg.Observer.Failed(failureOf(err))
	if errors.Is(err, ErrFull) {
		c.tellFull()
	}
	return isUnknown(err)
}

// tellFull logs, now and then, that Redis is full.
func (c *Client) tellFull() {
	now, last := c.now(), c.toldFull.Load()
	due := last == 0 || now-time.Duration(last) >= time.Minute
	if due && c.toldFull.CompareAndSwap(last, int64(now)) {
		c.cfg.Log.Error("redis is full (maxmemory): joins, store and registering scripts fail")
	}
}

func (c *Client) pipeline(ctx context.Context, pipe redis.Pipeliner, cmds []redis.Cmder) {
	if c.kind == Cluster {
		cmds = onceEach(cmds)
	}
	_ = pipe.BatchProcess(ctx, cmds...) // queues them; never an error
	_, _ = pipe.Exec(ctx)               // each command has its own error
}

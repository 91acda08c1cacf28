package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// perPipeline bounds the commands of one pipeline.
const perPipeline = 512

// Publish sends payload to all who are subscribed to topic. It returns nil once Redis has done so.
// Messages that one goroutine publishes to one topic arrive in that order. The payload
// must not change until it returns, and never after ErrUnknown.
func (b *Broker) Publish(ctx context.Context, topic string, payload []byte) error {
	began := time.Now()
	_, err := b.do(ctx, b.publishCommand(ctx, b.keys.shards(topic), topic, payload))
	b.cfg.Observer.Published(time.Since(began))
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// Message is one payload for one topic.
type Message struct {
	Topic   string
	Payload []byte
}

// PublishMany sends messages in as few pipelines as it takes; those of one topic arrive in order. It returns the first
// error; the other messages may have been sent all the same.
func (b *Broker) PublishMany(ctx context.Context, ms []Message) error {
	cmds := make([]redis.Cmder, len(ms))
	for i, m := range ms {
		cmds[i] = b.publishCommand(ctx, b.keys.shards(m.Topic), m.Topic, m.Payload)
	}
	began := time.Now()
	err := b.Batch(ctx, cmds)
	b.cfg.Observer.Published(time.Since(began))
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	for _, cmd := range cmds {
		if err := classify(cmd.Err()); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}

// publishCommand is PUBLISH or SPUBLISH, sent to the master of the topic's slot: messages that enter a Cluster
// by different nodes have no order between them.
func (b *Broker) publishCommand(ctx context.Context, sharded bool, topic string, payload any) *redis.Cmd {
	name := "publish"
	if sharded {
		name = "spublish"
	}
	cmd := redis.NewCmd(ctx, name, topic, payload)
	cmd.SetFirstKeyPos(1)
	return cmd
}

// Do runs one command, in a pipeline with those of others, and returns its answer:
// string, int64, nil or []any of these; HGETALL is a flat []any. No such value: (nil, Nil). In a Cluster the
// command goes to the slot of its first key; those without a key go to any node.
//
// Arguments are strings, []byte, integers, floats. A []byte must not change until Do returns, and never after ErrUnknown.
func (b *Broker) Do(ctx context.Context, args ...any) (any, error) {
	return b.do(ctx, redis.NewCmd(ctx, args...))
}

// Run runs a script, like Do. In a Cluster it needs at least one key.
func (b *Broker) Run(ctx context.Context, s *Script, keys []string, args ...any) (any, error) {
	return b.do(ctx, s.Command(ctx, keys, args...))
}

// Submit queues a command without waiting for it: for callers who start many at once. done is called
// exactly once, from a goroutine of the broker, with nil, Nil or the error; the answer is
// in cmd. It must not block. Commands that one goroutine submits for the same first key (or the same Cluster slot) run in that order,
// except that a script Redis did not know runs after the others of its pipeline.
// An error (ErrUnavailable: the queue is full, or Close was called) means that the command was not queued and done is never called.
func (b *Broker) Submit(cmd *redis.Cmd, done func(error)) error {
	r := newRequest(cmd)
	r.done = done
	return b.worker(cmd).push(r)
}

func (b *Broker) do(ctx context.Context, cmd *redis.Cmd) (any, error) {
	if ctx.Err() != nil {
		return nil, left(ctx, false)
	}
	w := b.worker(cmd)
	if _, bounded := ctx.Deadline(); !bounded {
		if sent, err := w.sendNow(cmd); sent {
			if err != nil {
				return nil, err
			}
			return cmd.Val(), nil
		}
	}
	r := requests.Get().(*request)
	r.cmd = cmd
	r.state.Store(queued)
	if err := w.push(r); err != nil {
		return nil, err
	}
	if err := r.wait(ctx, b.cfg.Timeout); err != nil {
		b.gaveUp(err)
		return nil, err // r stays with the worker
	}
	err := r.err
	r.cmd, r.err = nil, nil
	requests.Put(r)
	if err != nil {
		return nil, err
	}
	return cmd.Val(), nil
}

// Batch runs many commands one after another, in as few pipelines as it takes, on a connection of its own. Each command keeps its own answer
// and error. The error returned is the first ErrUnavailable among them, as other errors are answers; so
// nil means that Redis has answered every command. The errors in the commands are go-redis's own.
// A script in it is run again with its source after all others when Redis did not know it.
// In a Cluster commands of different slots may overtake each other. Batch waits for the answer even if ctx is cancelled, but not beyond its deadline.
func (b *Broker) Batch(ctx context.Context, cmds []redis.Cmder) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	var first error
	for len(cmds) > 0 {
		n := min(len(cmds), perPipeline)
		if b.ctx.Err() != nil {
			return fmt.Errorf("batch: %w", notSent(ErrClosed))
		}
		b.execute(ctx, b.client.Pipeline(), cmds[:n])
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
func (b *Broker) execute(ctx context.Context, pipe redis.Pipeliner, cmds []redis.Cmder) {
	began := time.Now()
	defer func() { b.cfg.Observer.Batched(len(cmds), time.Since(began)) }()
	if !b.noFlags.Load() {
		withFlags(cmds)
	}
	b.pipeline(ctx, pipe, cmds)
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
		broken = b.failed(err) || broken
	}
	if len(evals) > 0 {
		b.pipeline(ctx, pipe, evals)
		b.evalWithoutFlags(ctx, pipe, evals)
		for i, eval := range evals {
			eval := eval.(*redis.Cmd)
			originals[i].SetVal(eval.Val())
			originals[i].SetErr(eval.Err())
			if err := eval.Err(); err != nil && err != Nil {
				broken = b.failed(err) || broken
			}
		}
	}
	if broken {
		b.broke()
	}
}

// evalWithoutFlags sends again, without their flags, the scripts whose flags Redis does not know. From then on none is sent
// with flags: a Redis before 7.0 may come and go behind Sentinel, and in a Cluster.
func (b *Broker) evalWithoutFlags(ctx context.Context, pipe redis.Pipeliner, evals []redis.Cmder) {
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
	if !b.noFlags.Swap(true) && b.embedded == nil {
		b.cfg.Log.Warn("redis is older than 7.0: should it reach its maxmemory, nodes lose their leases")
	}
	b.pipeline(ctx, pipe, plain)
	for i, cmd := range plain {
		evals[at[i]] = cmd
	}
}

// failed tells the observer of a command's error, and whether its outcome is unknown.
func (b *Broker) failed(err error) (broken bool) {
	err = classify(err)
	b.cfg.Observer.Failed(failureOf(err))
	if errors.Is(err, ErrFull) {
		b.tellFull()
	}
	return isUnknown(err)
}

// tellFull logs, now and then, that Redis is full.
func (b *Broker) tellFull() {
	now := b.now()
	if last := b.toldFull.Load(); (last == 0 || now-time.Duration(last) >= time.Minute) && b.toldFull.CompareAndSwap(last, int64(now)) {
		b.cfg.Log.Error("redis is full (maxmemory): joins, store and registering scripts fail")
	}
}

func (b *Broker) pipeline(ctx context.Context, pipe redis.Pipeliner, cmds []redis.Cmder) {
	if b.kind == Cluster {
		cmds = onceEach(cmds)
	}
	_ = pipe.BatchProcess(ctx, cmds...) // queues them; never an error
	_, _ = pipe.Exec(ctx)               // each command has its own error
}

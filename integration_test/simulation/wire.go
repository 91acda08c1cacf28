package simulation

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/broker"
	"rollcall/cluster"
	"rollcall/hub"
	"rollcall/presence"
	"rollcall/redisconn"
)

// redisTimeout is the Config.Timeout of redisconn and broker: how long anything waits for Redis.
const redisTimeout = 3 * time.Second

// Errors of the wire, in redisconn's terms.
var (
	errNotSent = fmt.Errorf("%w: the simulation says so", redisconn.ErrUnavailable)
	errUnknown = fmt.Errorf("%w: %w: the simulation says so", redisconn.ErrUnavailable, redisconn.ErrUnknown)
)

// wire is a node's connection to Redis and its broker. It keeps what packages redisconn and broker promise: scripts and
// publications go one pipeline after another, batches by themselves; a caller who leaves before the answer is told
// whether it may have been sent; a pipeline without an answer in time, or whose connection breaks, has an unknown
// outcome and is told to OnBreak.
//
// Its methods are called by the node's goroutines; the rest belongs to the world's loop.
type wire struct {
	w    *world
	n    *node
	subs []*sub

	// owned by the loop
	queue  []*call // waits for the pipeline under way
	flight *pipeline
}

var (
	_ cluster.Redis  = (*wire)(nil)
	_ cluster.Broker = (*wire)(nil)
	_ presence.Redis = (*wire)(nil)
	_ hub.Redis      = (*wire)(nil)
	_ hub.Broker     = (*wire)(nil)
)

// call is what one caller waits for.
type call struct {
	cmds  []redis.Cmder
	state atomic.Int32 // as in redisconn's batcher
	err   error        // set before ready is closed
	ready chan struct{}
}

const (
	queued int32 = iota
	taken
	finished
	abandoned
)

func (c *call) finish(err error) {
	if c.state.CompareAndSwap(taken, finished) || c.state.CompareAndSwap(queued, finished) {
		c.err = err
		close(c.ready)
	}
}

// expire ends a call that nobody answered in time. It is for the loop: timers that are due at the same time fire in no
// order.
func (c *call) expire() {
	if c.state.Load() == queued {
		c.finish(errNotSent)
	} else {
		c.finish(errUnknown)
	}
}

// Keys are the names in Redis.
func (x *wire) Keys() redisconn.Keys { return x.w.keys }

// Run is redisconn.Client's.
func (x *wire) Run(ctx context.Context, s *redisconn.Script, keys []string, args ...any) (any, error) {
	return x.Process(ctx, s.Command(ctx, keys, args...))
}

// Process is redisconn.Client's.
func (x *wire) Process(ctx context.Context, cmd *redis.Cmd) (any, error) {
	if err := x.ask(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Val(), cmd.Err()
}

// Publish is broker.Publish.
func (x *wire) Publish(ctx context.Context, topic string, payload []byte) error {
	return x.ask(ctx, redis.NewCmd(ctx, "publish", topic, payload))
}

// PublishMany is broker.PublishMany.
func (x *wire) PublishMany(ctx context.Context, ms []broker.Message) error {
	cmds := make([]redis.Cmder, len(ms))
	for i, m := range ms {
		cmds[i] = redis.NewCmd(ctx, "publish", m.Topic, m.Payload)
	}
	return x.Batch(ctx, cmds)
}

// ask sends one command with those of others.
func (x *wire) ask(ctx context.Context, cmd redis.Cmder) error {
	if ctx.Err() != nil || x.n.gone.Load() {
		return errNotSent
	}
	c := &call{cmds: []redis.Cmder{cmd}, ready: make(chan struct{})}
	x.w.post(x.n, "ask "+x.w.describe(cmd, true), func() {
		x.queue = append(x.queue, c)
		x.w.after(redisTimeout-1, c.expire) // its time began before that of its pipeline
		x.next()
	})
	select {
	case <-c.ready:
		return c.err
	case <-ctx.Done():
	case <-x.n.over:
	}
	switch {
	case c.state.CompareAndSwap(queued, abandoned):
		return errNotSent
	case c.state.CompareAndSwap(taken, abandoned):
		return errUnknown
	}
	<-c.ready
	return c.err
}

// Batch is redisconn.Client's.
func (x *wire) Batch(ctx context.Context, cmds []redis.Cmder) error {
	if x.n.gone.Load() {
		return errNotSent
	}
	limit := redisTimeout
	if until, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(until))
	}
	c := &call{cmds: cmds, ready: make(chan struct{})}
	var key strings.Builder
	key.WriteString("batch")
	for _, cmd := range cmds {
		key.WriteString(" " + x.w.describe(cmd, true))
	}
	x.w.post(x.n, key.String(), func() {
		c.state.Store(taken)
		x.send(&pipeline{x: x, calls: []*call{c}}, limit)
	})
	select {
	case <-c.ready:
	case <-x.n.over:
		return errUnknown
	}
	if c.err != nil {
		for _, cmd := range cmds {
			cmd.SetErr(c.err)
		}
	}
	return c.err
}

// script names the script that a command runs, "" none.
func (w *world) script(cmd redis.Cmder) string {
	if args := cmd.Args(); args[0] == "evalsha" {
		return w.net.scripts[fmt.Sprint(args[1])]
	}
	return ""
}

// keeps gives the channel whose messages a stream holds.
func (w *world) keeps(stream string) (channel string) {
	for i := range w.plan.Channels {
		if channel = fmt.Sprint("c", i); w.keys.History(channel) == stream {
			return channel
		}
	}
	return stream
}

// renewed tells whether a call is a heartbeat that was answered with a deadline.
func (w *world) renewed(c *call) bool {
	if w.script(c.cmds[0]) != "heartbeat" || c.state.Load() != taken {
		return false
	}
	return c.cmds[0].(*redis.Cmd).Val() != int64(0)
}

// wrote tells whether a command is worth a line.
func wrote(cmd redis.Cmder) bool {
	switch cmd.Args()[0] {
	case "evalsha", "srem":
		return true
	}
	return false
}

// describe names a command. What is drawn at random in it is left out when it is for an order; in a story epochs have
// names.
func (w *world) describe(cmd redis.Cmder, bare bool) string {
	args := cmd.Args()
	if args[0] != "evalsha" {
		parts := make([]string, len(args))
		for i, a := range args {
			switch v := a.(type) {
			case []byte:
				parts[i] = string(v)
			default:
				parts[i] = fmt.Sprint(v)
			}
		}
		return strings.Join(parts, " ")
	}
	name := w.net.scripts[fmt.Sprint(args[1])]
	keys := args[2].(int)
	arg := func(i int) string {
		if text, ok := args[3+keys+i].([]byte); ok {
			return string(text)
		}
		return fmt.Sprint(args[3+keys+i])
	}
	channel, _ := w.keys.ChannelOf(fmt.Sprint(args[3]))
	switch name {
	case "join", "leave", "linger":
		line := fmt.Sprintf("%s %s %s %s %s until %s", name, channel, arg(5), arg(4), arg(6), arg(0))
		if name != "leave" {
			_, info, _ := strings.Cut(arg(7), " ")
			line += " " + info
		}
		return line
	case "reap":
		var who []string
		for i := reaped; 3+keys+i < len(args); i++ {
			who = append(who, arg(i))
		}
		return fmt.Sprintf("reap %s %s %s %v", channel, arg(3), arg(5), who)
	case "heartbeat":
		return fmt.Sprintf("heartbeat %s %s", arg(2), arg(0))
	case "publish", "read":
		line := name + " " + w.keeps(fmt.Sprint(args[3]))
		for i := 3; name == "publish" && 3+keys+i+1 < len(args) && i < 9; i += 2 {
			line += arg(i + 1)
		}
		return line
	}
	var who []string
	for i := 0; 3+keys+i < len(args); i++ {
		who = append(who, arg(i))
	}
	return name + " " + strings.Join(who, " ")
}

// answer is a command's answer as a story tells it.
func (w *world) answer(cmd redis.Cmder) string {
	c, ok := cmd.(*redis.Cmd)
	if !ok {
		return cmd.String()
	}
	list, ok := c.Val().([]any)
	if !ok || len(list) != 3 {
		return fmt.Sprint(c.Val())
	}
	epoch, ok := list[1].(string)
	if !ok {
		return fmt.Sprint(list...)
	}
	return fmt.Sprintf("%s %s/%d", list[0], w.story.epoch(epoch), list[2])
}

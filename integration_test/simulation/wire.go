package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// pipeline is commands on their way on one connection.
type pipeline struct {
	x     *wire
	calls []*call
	done  int  // commands that Redis has run
	over  bool // its callers have their answer
	lost  bool // nothing more of it arrives
	mute  bool // its answer does not come
}

// next sends what is queued, when nothing is under way.
func (x *wire) next() {
	if x.flight != nil {
		return
	}
	p := &pipeline{x: x}
	for _, c := range x.queue {
		if c.state.CompareAndSwap(queued, taken) {
			p.calls = append(p.calls, c)
		}
	}
	x.queue = nil
	if len(p.calls) > 0 {
		x.flight = p
		x.send(p, redisTimeout)
	}
}

func (p *pipeline) commands() []redis.Cmder {
	var out []redis.Cmder
	for _, c := range p.calls {
		out = append(out, c.cmds...)
	}
	return out
}

// send lets a pipeline go; it ends as unknown after limit.
func (x *wire) send(p *pipeline, limit time.Duration) {
	w := x.w
	if w.net.refuses(x.n) {
		p.lost = true
		w.after(w.net.latency(x.n), func() { p.finish(errNotSent) })
		return
	}
	late := w.net.lateness(x.n)
	if path := &x.n.path; (path.straggles || path.mutes) && p.writes() {
		if path.straggles {
			late = w.net.between(redisTimeout, 2*redisTimeout)
		}
		p.mute = path.mutes
		path.straggles, path.mutes = false, false
		w.dim(x.n) // its heartbeats wait for this pipeline
	}
	w.after(w.net.latency(x.n)+late, p.arrive)
	w.after(limit, func() { p.broken("no answer in time") })
}

// arrive runs some of the commands in Redis, or all.
func (p *pipeline) arrive() {
	w, n := p.x.w, p.x.n
	if p.lost {
		return
	}
	switch until, held := w.net.heldUp(n); {
	case w.net.down():
		p.lost = true
		w.after(w.net.latency(n), func() { p.broken("Redis went away") })
		return
	case held && w.net.loses(n):
		p.lost = true
		w.story.add("n%d lost on its way: %s", n.number, w.describe(p.commands()[p.done], false))
		return
	case held:
		w.at(until.Add(w.net.latency(n)+w.net.again(p.over)), p.arrive)
		return
	}
	cmds := p.commands()
	for range 1 + w.rng.IntN(len(cmds)-p.done) {
		cmd := cmds[p.done]
		p.done++
		w.execute(n, cmd, p.over)
	}
	if p.done < len(cmds) {
		w.after(time.Duration(1+w.rng.Int64N(int64(time.Millisecond))), p.arrive)
		return
	}
	w.after(w.net.latency(n), p.reply)
}

// execute runs one command in Redis. late: nobody waits for it any more.
func (w *world) execute(n *node, cmd redis.Cmder, late bool) {
	run := cmd
	if late {
		run = redis.NewCmd(context.Background(), cmd.Args()...) // its caller has taken the command back
	}
	had := w.oracle.inventoryOf(run)
	w.redis.Process(run)
	if err := run.Err(); err != nil && !errors.Is(err, redis.Nil) {
		w.fail("the model of Redis cannot run %s: %v", w.describe(cmd, false), err)
		return
	}
	if wrote(cmd) {
		mark := ""
		if late {
			mark = " (late)"
		}
		w.story.add("n%d: %s%s = %s", n.number, w.describe(cmd, false), mark, w.answer(run))
	}
	w.oracle.ran(run)
	w.oracle.took(run, had)
}

// reply brings the answers back.
func (p *pipeline) reply() {
	w, n := p.x.w, p.x.n
	if p.over || p.mute {
		return
	}
	if until, held := w.net.heldBack(n); held {
		if !w.net.loses(n) {
			w.at(until.Add(w.net.latency(n)), p.reply)
		}
		return
	}
	p.finish(nil)
}

// broken ends a pipeline whose outcome nobody knows.
func (p *pipeline) broken(why string) {
	if p.over {
		return
	}
	p.x.w.story.add("n%d gives up: %s (%s)", p.x.n.number, p.x.w.describe(p.commands()[0], false), why)
	if p.x.w.rng.IntN(3) == 0 {
		p.lost = true
	}
	p.x.n.broke()
	p.finish(errUnknown)
}

func (p *pipeline) finish(err error) {
	if p.over {
		return
	}
	p.over = true
	for _, c := range p.calls {
		if err == nil && p.x.w.renewed(c) {
			p.x.w.oracle.heard(p.x.n)
		}
		c.finish(err)
	}
	if p.x.flight == p {
		p.x.flight = nil
		p.x.next()
	}
}

// writing tells whether a change of presence, or a message, is on its way.
func (x *wire) writing() bool { return x.flight != nil && x.flight.writes() }

// writes tells whether a pipeline still has a change of presence to make, or a message to keep.
func (p *pipeline) writes() bool {
	return slices.ContainsFunc(p.commands()[p.done:], func(cmd redis.Cmder) bool {
		name := p.x.w.script(cmd)
		return name == "join" || name == "leave" || name == "publish"
	})
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

package simulation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

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

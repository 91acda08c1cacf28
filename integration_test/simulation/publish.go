package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"

	"rollcall/history"
	"rollcall/hub"
)

// maxFollowers is how many clients of history there are.
const maxFollowers = 8

// actInHistory is one act of a client of a plan about history.
func (w *world) actInHistory(rng *rand.Rand) {
	channel := fmt.Sprint("c", rng.IntN(w.plan.Channels))
	n, up := pick(rng, w.live())
	if !up {
		return
	}
	f, here := pick(rng, w.here())
	absent, gone := pick(rng, w.gone())
	switch k := rng.IntN(100); {
	case k < 12 && len(w.followers) < maxFollowers:
		w.invite(n, channel, rng)
	case k < 24 && gone:
		w.comesBack(absent, n, rng)
	case k < 30 && here:
		f.goes([]hub.Ending{hub.Closed, hub.Dropped}[rng.IntN(2)])
	case k < 34 && here:
		f.hops = true
	case k < 38 && here:
		f.moves(channel, rng)
	case k < 66 && here:
		w.says(f, channel, rng)
	case k < 80:
		w.publishes(n, channel, rng)
	case k < 90:
		w.publishesOnce(n, channel, w.message(), 5)
	case k < 91 && rng.IntN(5) == 0: // more than a gate holds back
		w.publishMany(n, channel, 1100)
	default:
		w.publishMany(n, channel, 1+rng.IntN(12))
	}
}

// message draws up a message of its own.
func (w *world) message() hub.Value {
	w.serial++
	return hub.Value{Text: fmt.Sprint("m", w.serial)}
}

// maybeTransient is a message that may be one that is not kept.
func (w *world) maybeTransient(rng *rand.Rand) hub.Value {
	v := w.message()
	if rng.IntN(5) == 0 {
		v = hub.Value{Text: "t" + v.Text[1:], Transient: true}
	}
	return v
}

// invite lets a new client come.
func (w *world) invite(n *node, channel string, rng *rand.Rand) {
	f := &follower{w: w, name: fmt.Sprint("f", len(w.followers)+1), script: rng.IntN(3) == 0,
		in: map[string]*standing{}}
	if rng.IntN(4) == 0 {
		f.space = 3
	}
	w.followers = append(w.followers, f)
	f.comes(n, nil)
	f.joins(false, entry{channel, ""})
}

// comesBack lets a client come back to where it was, in one channel or in all: it says so as it connects, or as it
// joins.
func (w *world) comesBack(f *follower, n *node, rng *rand.Rand) {
	positions := map[string]history.Position{}
	for i := range w.plan.Channels {
		channel := fmt.Sprint("c", i)
		p, ok := history.ParsePosition(f.at(channel).position)
		switch {
		case !ok:
			continue
		case rng.IntN(20) == 0:
			p.MS += rng.Int64N(3) - 1
		case rng.IntN(20) == 0:
			p.Seq += rng.Int64N(30)
		}
		positions[channel] = p
	}
	said := !f.script && rng.IntN(2) == 0
	if said {
		f.comes(n, positions)
	} else {
		f.comes(n, nil)
	}
	var entries []entry
	for i := range w.plan.Channels {
		channel := fmt.Sprint("c", i)
		if p, ok := positions[channel]; ok {
			entries = append(entries, entry{channel, p.String()})
		} else if rng.IntN(3) == 0 {
			entries = append(entries, entry{channel, ""})
		}
	}
	f.joins(said, entries...)
}

// hop lets a client come back on another node at once, which may not have heard yet what it was given here.
func (f *follower) hop() {
	if n, up := pick(f.w.rng, f.w.live()); up && f.n != nil && !f.n.dead && !f.n.stopping && !f.working {
		f.goes(hub.Dropped)
		f.w.comesBack(f, n, f.w.rng)
	}
}

// moves lets a client join a channel, again or from where it was, or leave it.
func (f *follower) moves(channel string, rng *rand.Rand) {
	s := f.at(channel)
	switch {
	case s.joined && rng.IntN(3) == 0:
		f.joins(false, entry{channel, ""})
	case s.joined:
		s.joined, s.fed = false, false
		f.w.story.add("%s leaves %s", f.name, channel)
		_ = f.sess.Leave(channel) // only a bad name is an error
	case rng.IntN(3) > 0:
		f.joins(false, entry{channel, s.position})
	default:
		f.joins(false, entry{channel, ""})
	}
}

// says lets a client publish.
func (w *world) says(f *follower, channel string, rng *rand.Rand) {
	v, n, id := w.maybeTransient(rng), f.n, f.id
	w.story.add("n%d: %s says %s in %s", n.number, f.name, v.Text, channel)
	f.call("says "+v.Text, func(ctx context.Context) func() {
		err := n.hub.Broadcast(ctx, channel, v, id)
		return func() { w.published(channel, err, v) }
	})
}

// published notes the outcome of a publication.
func (w *world) published(channel string, err error, vs ...hub.Value) {
	w.story.add("%s is published in %s: %v", vs[0].Text, channel, err)
	for _, v := range vs {
		if err == nil && !v.Transient {
			w.archive.acknowledged(channel, v.Text)
		}
	}
}

// publishing runs a publication of a back end.
func (w *world) publishing(n *node, key string, do func(context.Context) error, then func(error)) {
	w.closed.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, redisTimeout)
		defer cancel()
		err := do(ctx)
		w.post(n, "published "+key, func() { then(err) })
	})
}

func (w *world) publishes(n *node, channel string, rng *rand.Rand) {
	v := w.maybeTransient(rng)
	w.story.add("n%d: a back end says %s in %s", n.number, v.Text, channel)
	w.publishing(n, v.Text, func(ctx context.Context) error { return n.hub.Broadcast(ctx, channel, v, "") },
		func(err error) { w.published(channel, err, v) })
}

// publishMany sends messages in one call, some of them not to be kept.
func (w *world) publishMany(n *node, channel string, count int) {
	var ms []hub.Message
	var vs []hub.Value
	for i := range count {
		v := w.message()
		if i%4 == 1 {
			v = hub.Value{Text: "t" + v.Text[1:], Transient: true}
		}
		vs, ms = append(vs, v), append(ms, hub.Message{Channel: channel, Value: v})
	}
	w.story.add("n%d: a back end says %d from %s in %s", n.number, count, vs[0].Text, channel)
	w.publishing(n, vs[0].Text, func(ctx context.Context) error {
		_, err := n.hub.BroadcastMany(ctx, ms)
		return err
	}, func(err error) { w.published(channel, err, vs...) })
}

// publishesOnce publishes with an idempotency key, and tries it again on any node while it does not know.
func (w *world) publishesOnce(n *node, channel string, v hub.Value, tries int) {
	w.story.add("n%d: a back end says %s once in %s", n.number, v.Text, channel)
	w.publishing(n, v.Text, func(ctx context.Context) error {
		_, err := n.hub.BroadcastOnce(ctx, "id-"+v.Text, []hub.Message{{Channel: channel, Value: v}})
		return err
	}, func(err error) {
		if err == nil || tries == 0 {
			w.published(channel, err, v)
			return
		}
		next, up := pick(w.rng, w.live())
		if up {
			w.publishesOnce(next, channel, v, tries-1)
		}
	})
}

// acknowledged checks that what was acknowledged is kept, or was.
func (a *archive) acknowledged(channel, text string) {
	for _, it := range a.shelf(channel).items {
		if it.text == text {
			return
		}
	}
	a.w.fail("%s in %s is acknowledged, and was never kept", text, channel)
}

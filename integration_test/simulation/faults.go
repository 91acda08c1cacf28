package simulation

import "time"

// strike lets one fault of the plan happen.
func (w *world) strike(i int, f Fault) {
	live := w.live()
	if len(live) == 0 {
		return
	}
	n := live[f.Node%len(live)]
	until := time.Now().Add(f.For)
	w.trouble, w.oracle.troubled = later(w.trouble, until), true
	switch f.Kind {
	case Crash, Stop, Freeze, Cut, Deaf, Unplug, Slow, Straggle, Mute, Drop:
		w.story.add("FAULT %d: %s of n%d for %v", i, f.Kind, n.number, f.For)
	default:
		w.story.add("FAULT %d: %s for %v", i, f.Kind, f.For)
	}
	switch f.Kind {
	case Wipe:
		w.wipe()
	case Restart:
		w.away(until)
	case Amnesia:
		w.away(until)
		w.wipe()
	case Failover:
		w.away(until)
		w.failOver(f.N)
	case Stall:
		w.net.stallTill = later(w.net.stallTill, until)
	case Crash:
		w.killWriting(n, 200)
	case CrashAll:
		for _, n := range live {
			w.kill(n)
		}
		w.start(n.number)
	case Stop:
		if len(live) > 1 {
			w.stop(n, f.For)
		}
	case Freeze:
		n.path.upTill, n.path.backTill = later(n.path.upTill, until), later(n.path.backTill, until)
		w.dim(n)
	case Cut:
		n.path.upTill, n.path.backTill, n.path.lossy = later(n.path.upTill, until), later(n.path.backTill, until), true
		w.dim(n)
		w.watch(n, f)
	case Deaf:
		n.path.backTill, n.path.lossy = later(n.path.backTill, until), true
		w.dim(n)
		w.watch(n, f)
	case Unplug:
		n.wire.subs[f.N%len(n.wire.subs)].unplug(time.Duration(w.rng.Int64N(int64(watch))))
	case Straggle:
		n.path.straggles = true
	case Mute:
		n.path.mutes = true
	case Drop:
		n.path.drops = true
	case Slow:
		n.path.slowTill = later(n.path.slowTill, until)
		w.dim(n)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// dim notes that a node may miss its heartbeats.
func (w *world) dim(n *node) {
	n.dim = true
	w.oracle.watch(n)
}

// watch lets a node notice that its subscriptions are silent.
func (w *world) watch(n *node, f Fault) {
	if f.For <= watch {
		return
	}
	w.after(watch, func() {
		for _, s := range n.wire.subs {
			if _, held := w.net.heldBack(n); held && s.linked {
				s.unplug(0)
			}
		}
	})
}

// away lets Redis refuse connections until then; those that stand break.
func (w *world) away(until time.Time) {
	w.net.downTill = later(w.net.downTill, until)
	for _, n := range w.nodes {
		for _, s := range n.wire.subs {
			s.unplug(w.net.latency(n))
		}
		if !n.dead { // redisconn sees within a second of its return that Redis is another process
			w.at(w.net.downTill.Add(time.Duration(w.rng.Int64N(int64(time.Second)))), n.broke)
		}
	}
}

func (w *world) wipe() {
	w.oracle.loses(func() { w.redis.Wipe() })
	w.archive.loses(true)
	w.gap()
}

// gap lets no message be published in the millisecond in which data was lost: it could have a position that was given
// before.
func (w *world) gap() {
	if w.plan.Keep.Size > 0 {
		w.net.stallTill = later(w.net.stallTill, time.Now().Add(2*time.Millisecond))
	}
}

// failOver loses the last writes. The clock of the new server differs by less than the grace (DESIGN 3).
func (w *world) failOver(writes int) {
	w.oracle.loses(func() {
		n := w.redis.Lose(writes)
		w.story.add("the last %d writes are lost", n)
	})
	w.archive.loses(false)
	w.gap()
	was := w.skew
	w.skew = time.Duration(w.rng.Int64N(int64(800*time.Millisecond))) - 400*time.Millisecond
	w.archive.backTill = later(w.archive.backTill, time.Now().Add(was-w.skew))
}

// killWriting kills a node at a moment when it has a write on its way, if there is one soon, and if it is not the last
// node.
func (w *world) killWriting(n *node, tries int) {
	switch {
	case n.dead || n.stopping || len(w.live()) < 2:
	case tries > 0 && !n.wire.writing():
		w.after(2*time.Millisecond, func() { w.killWriting(n, tries-1) })
	default:
		w.story.add("n%d is killed", n.number)
		w.kill(n)
	}
}

// kill crashes a node. What it had sent arrives up to some seconds later, or never; a new one may start in its place,
// and clients may come back on other nodes.
func (w *world) kill(n *node) {
	n.dim = true
	w.crash(n)
	if w.rng.IntN(2) == 0 {
		n.path.upTill, n.path.lossy = time.Now().Add(time.Duration(w.rng.Int64N(int64(15*time.Second)))), true
	}
	if w.rng.IntN(2) == 0 {
		w.after(time.Duration(w.rng.Int64N(int64(8*time.Second))), func() {
			if len(w.live()) < w.plan.Nodes {
				w.start(n.number)
			}
		})
	}
	for _, c := range w.oracle.of(n) {
		if w.rng.IntN(3) == 0 {
			w.after(time.Duration(w.rng.Int64N(int64(9*time.Second))), func() { w.track(c.user, c.channel, w.rng) })
		}
	}
	w.oracle.watch(n)
}

package presence

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Leaser is this node's lease; the cluster holds it.
type Leaser interface {
	// Lease gives the incarnation and its deadline in ms of the Redis clock; held is false while writes have to wait.
	Lease() (inc string, deadline int64, held bool)
	// Renew sends a heartbeat now.
	Renew(ctx context.Context) error
	// Disown gives an incarnation up if it is still the present one: a write of it may arrive at any time.
	Disown(inc, why string)
	// IncarnationAlive tells whether an incarnation holds a lease or waits to be reaped.
	IncarnationAlive(ctx context.Context, inc string) (bool, error)
}

// Config of a tracker.
type Config struct {
	Store  *Store
	Lease  Leaser
	TTL    time.Duration // of a lease: how long removals are held back
	Window time.Duration // SPEC 3, --presence-window; 0: every change is a frame
	// AuditQuiet is how rarely a channel is compared with Redis in which nothing changes; 0: once in 10 min. Where
	// messages may be lost without a sign it is Audit, as for those that change.
	AuditQuiet time.Duration
	Log        *slog.Logger
}

// Audit is how long after a change a channel is compared with Redis, at the latest.
const Audit = 30 * time.Second

// Concurrency of work that the tracker does by itself.
const (
	maxLoads  = 64  // snapshots read at once
	maxWrites = 128 // entries written again at once
	upkeep    = time.Second
)

// Tracker owns the presence of all channels of this node.
type Tracker struct {
	// static
	cfg   Config
	store *Store
	lease Leaser
	stats Stats
	began time.Time // the zero of its limiters

	audits *audits

	ctx    context.Context // ends with Close; loads and writes run under it
	cancel context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{} // entries wait to be written
	known  chan struct{} // is closed: of channels that are known
	joins  joinLimits
	doubt  atomic.Int64 // until when (unix ms) Redis is suspected to have lost data

	// owned by the checker
	orphans map[orphan]time.Time // when first seen without a lease
	looked  time.Time            // when owners were looked up last
	differs bool                 // an audit has just found a difference

	mu       sync.Mutex // taken before a channel's
	channels map[string]*Channel

	lists   sync.Mutex // taken after a channel's
	closed  bool
	loads   []func(context.Context) // wait for one of the goroutines that load
	loading int                     // these
	pending map[*Channel]bool       // with unsettled entries
	idle    map[*Channel]time.Time  // without entries since then: to be unregistered or forgotten
	owners  map[orphan]bool         // to be looked up
	look    bool                    // at once
}

// NewTracker makes a tracker and starts its upkeep. From then on the store removes nothing that the tracker holds.
func NewTracker(cfg Config) *Tracker {
	if cfg.AuditQuiet == 0 {
		cfg.AuditQuiet = 10 * time.Minute
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &Tracker{cfg: cfg, store: cfg.Store, lease: cfg.Lease, ctx: ctx, cancel: cancel, began: time.Now(),
		wake:     make(chan struct{}, 1),
		channels: map[string]*Channel{}, pending: map[*Channel]bool{}, idle: map[*Channel]time.Time{},
		owners: map[orphan]bool{}, orphans: map[orphan]time.Time{}, known: make(chan struct{}),
		audits: newAudits(cfg.AuditQuiet)}
	close(t.known)
	t.store.others = t.others
	t.done.Go(t.writer)
	t.done.Go(t.checker)
	return t
}

// Close ends all work and waits for it. Presence of this node's connections was removed before, or is left to the
// reaper.
func (t *Tracker) Close() {
	t.lists.Lock()
	t.closed = true
	t.lists.Unlock()
	t.cancel()
	t.done.Wait()
	for _, c := range t.all() {
		c.Detach()
	}
}

// Open gives a channel an audience. A channel has one at a time; it is Detached before it is opened again.
func (t *Tracker) Open(name string, aud Audience) *Channel {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.channels[name]
	if c == nil {
		c = &Channel{t: t, view: view{channel: name}}
		t.channels[name] = c
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aud, c.ready = aud, nil
	t.audits.changed(c)
	return c
}

// NewIncarnation is told by the cluster that this node has a new incarnation: all entries are written again, and, since
// something may have been lost, all replicas are read again.
func (t *Tracker) NewIncarnation(first bool) {
	if !first {
		t.Suspect()
	}
	chans := t.all()
	t.lists.Lock()
	for _, c := range chans {
		t.pending[c] = true
	}
	t.lists.Unlock()
	t.kick()
	if first {
		return
	}
	for _, c := range chans {
		c.step(reread{resyncIncarnation})
	}
}

// Suspect notes that a connection to Redis broke: for one lease time removals found by reading again are held back,
// since a failover may have lost writes.
func (t *Tracker) Suspect() {
	t.doubt.Store(time.Now().Add(t.holdFor()).UnixMilli())
}

// leastHold is the least time for which removals are held back. Nodes find out at different times that a Redis has lost
// its data, in a Cluster only when they look for its process again (broker, WatchEvery): a short lease is no measure of
// that.
const leastHold = 2500 * time.Millisecond

// Hold is how long removals are held back after Redis may have lost data.
func (t *Tracker) Hold() time.Duration { return t.holdFor() }

// holdFor is how long removals are held back.
func (t *Tracker) holdFor() time.Duration { return max(t.cfg.TTL, leastHold) }

// suspicion is when the suspicion of now ends (ms), 0 when there is none.
func (t *Tracker) suspicion(now time.Time) int64 {
	if until := t.doubt.Load(); until != 0 && now.UnixMilli() < until {
		return until
	}
	return 0
}

// sortChannels puts channels in the order of their names: what the tracker does by itself has one order.
func sortChannels(chans []*Channel) {
	slices.SortFunc(chans, func(a, b *Channel) int { return strings.Compare(a.name(), b.name()) })
}

func sortedChannels(set map[*Channel]bool) []*Channel {
	chans := slices.Collect(maps.Keys(set))
	sortChannels(chans)
	return chans
}

func (t *Tracker) all() []*Channel {
	t.mu.Lock()
	defer t.mu.Unlock()
	chans := slices.Collect(maps.Values(t.channels))
	sortChannels(chans)
	return chans
}

// spawn runs fn on a goroutine that Close waits for, at most maxLoads at once; not after Close. What waits is no
// goroutine: the stacks of a crowd would leave holes among those that stay.
func (t *Tracker) spawn(fn func(ctx context.Context)) {
	t.lists.Lock()
	defer t.lists.Unlock()
	if t.closed {
		return
	}
	t.loads = append(t.loads, fn)
	if t.loading < maxLoads {
		t.loading++
		t.done.Go(t.load)
	}
}

// load runs what waits, until nothing does.
func (t *Tracker) load() {
	for {
		fn := t.nextLoad()
		if fn == nil {
			return
		}
		fn(t.ctx)
	}
}

// nextLoad takes one; nil: none is left, and the caller ends.
func (t *Tracker) nextLoad() func(context.Context) {
	t.lists.Lock()
	defer t.lists.Unlock()
	if t.closed || len(t.loads) == 0 {
		t.loads = nil
		t.loading--
		return nil
	}
	fn := t.loads[0]
	t.loads[0] = nil
	t.loads = t.loads[1:]
	return fn
}

// others are the entries that are none of this node's connections', settled or not, in order.
func (t *Tracker) others(channel string, refs map[entryRef]bool) []entryRef {
	all := sortedRefs(refs)
	c := t.channel(channel)
	if c == nil {
		return all
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(all, func(ref entryRef) bool { return c.own.get(ref) != nil })
}

// unsettled notes a channel with entries that wait to be written.
func (t *Tracker) unsettled(c *Channel) {
	t.lists.Lock()
	defer t.lists.Unlock()
	t.pending[c] = true
}

// tidyLocked notes a channel that may have no entries left; its lock is held.
func (t *Tracker) tidyLocked(c *Channel) {
	if c.own.len() > 0 {
		return
	}
	t.lists.Lock()
	defer t.lists.Unlock()
	t.idle[c] = time.Now()
}

func (t *Tracker) kick() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// writer writes what waits. It does nothing else: what a check waits for must not hold up entries whose incarnation was
// given up, since reapers remove those that are not written again in time.
func (t *Tracker) writer() {
	tick := time.NewTimer(upkeep / 2) // out of step with the checker
	defer tick.Stop()
	for t.ctx.Err() == nil {
		select {
		case <-t.ctx.Done():
			return
		case <-t.wake:
		case <-tick.C:
			tick.Reset(upkeep)
		}
		t.writePending()
	}
}

// checker tidies, looks for orphans, and audits.
func (t *Tracker) checker() {
	tick := time.NewTicker(upkeep)
	defer tick.Stop()
	audit := time.NewTicker(auditRound)
	defer audit.Stop()
	for t.ctx.Err() == nil {
		ticked, audited := false, false
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
			ticked = true
		case <-audit.C:
			audited = true
		}
		// What else came while the last round took its time is done in this round, always in the same order.
		ticked, audited = ticked || due(tick.C), audited || due(audit.C)
		if ticked {
			t.tidyIdle()
			t.checkOrphans()
		}
		if audited {
			t.audit(t.audits.next())
		}
	}
}

func due(tick <-chan time.Time) bool {
	select {
	case <-tick:
		return true
	default:
		return false
	}
}

// writePending settles the entries that wait, maxWrites at once.
func (t *Tracker) writePending() {
	if _, _, held := t.lease.Lease(); !held {
		return
	}
	t.lists.Lock()
	pending := t.pending
	t.pending = map[*Channel]bool{}
	t.lists.Unlock()
	if len(pending) == 0 {
		return
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxWrites)
	for _, c := range sortedChannels(pending) {
		wait := c.unsettled()
		for _, ref := range sortedRefs(wait) {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				c.writeAgain(t.ctx, ref, wait[ref])
			})
		}
	}
	wg.Wait()
}

// unsettled lists the entries that Redis does not hold under the present incarnation.
func (c *Channel) unsettled() map[entryRef]*own {
	c.mu.Lock()
	defer c.mu.Unlock()
	inc, _, _ := c.t.lease.Lease()
	out := map[entryRef]*own{}
	for o := range c.own.all() {
		if (!o.settled(inc) || o.announce) && (o.delay == nil || o.due) {
			out[o.ref] = o
		}
	}
	return out
}

// tidyIdle takes channels without entries off the incarnation's list, and forgets those that nobody here is in. It
// waits for a ttl first, and longer while Redis may have lost writes: if a failover loses the leaves of the last
// entries, the reaper shall find them by the list.
func (t *Tracker) tidyIdle() {
	inc, _, held := t.lease.Lease()
	if !held || t.suspicion(time.Now()) != 0 {
		return // later
	}
	var names []string
	var chans []*Channel
	for _, c := range t.idleChannels() {
		c.mu.Lock()
		if c.own.len() == 0 && c.reg.busy == nil {
			if c.reg.inc != inc {
				c.reg.inc = "" // an older list, which ends with its incarnation
			}
			if c.reg.inc != "" {
				c.reg.busy = make(chan struct{})
				names, chans = append(names, c.name()), append(chans, c)
			}
		}
		c.mu.Unlock()
		t.forget(c)
	}
	if len(names) == 0 {
		return
	}
	err := t.store.Unregister(t.ctx, inc, names)
	for _, c := range chans {
		c.mu.Lock()
		c.reg.inc = "" // also when unsure: it is then registered again before the next entry
		close(c.reg.busy)
		c.reg.busy = nil
		c.mu.Unlock()
		t.forget(c)
	}
	if err != nil && t.ctx.Err() == nil {
		t.cfg.Log.Warn("unregister channels failed", "error", err)
	}
}

// idleChannels takes those channels that have been without entries for a ttl.
func (t *Tracker) idleChannels() []*Channel {
	t.lists.Lock()
	defer t.lists.Unlock()
	idle := map[*Channel]bool{}
	for c, since := range t.idle {
		if time.Since(since) >= t.cfg.TTL {
			idle[c] = true
			delete(t.idle, c)
		}
	}
	return sortedChannels(idle)
}

// forget drops a channel that has neither audience nor entries.
func (t *Tracker) forget(c *Channel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aud == nil && c.own.len() == 0 && c.reg.busy == nil && t.channels[c.name()] == c {
		delete(t.channels, c.name())
	}
}

// Users reads a channel that nobody on this node is in, the one who has been here longest first.
func (t *Tracker) Users(ctx context.Context, channel string) ([]*User, error) {
	snap, err := t.store.Snapshot(ctx, channel)
	if err != nil {
		return nil, err
	}
	t.noteOwners(channel, ownersOf(maps.Values(snap.Users)), true)
	us := make([]*User, 0, len(snap.Users))
	for _, u := range snap.Users {
		us = append(us, u)
	}
	sortUsers(us)
	return us, nil
}

package cluster

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
)

// SPEC 5.1: a killed node's users leave; DESIGN 3: its channels are handed to the remover, then its keys go.
func TestReap(t *testing.T) {
	r, forward := mini(t)
	a, b := newMember(t, r.URL(), testTTL), newMember(t, r.URL(), testTTL)
	dead := b.inc()
	b.register("room:1", "room 2")
	b.kill()
	forward(testTTL)
	if err := a.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.reaper.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := a.removals(); got != "" {
		t.Fatalf("removed %s within the grace", got)
	}
	forward(Grace + time.Millisecond)
	testkit.Eventually(t, "both channels were removed",
		func() bool { return a.removals() == "room 2 "+dead+", room:1 "+dead })
	testkit.Eventually(t, "nothing is left of it", func() bool {
		n, err := a.redis.Do(t.Context(), "exists", a.keys.Node(dead), a.keys.NodeChannels(dead))
		alive, err2 := a.IncarnationAlive(t.Context(), dead)
		return err == nil && n == int64(0) && err2 == nil && !alive
	})
	testkit.Eventually(t, "the registry shows one", func() bool { return len(a.Nodes()) == 1 })
}

// A removal that fails is tried again.
func TestReapAgain(t *testing.T) {
	r, forward := mini(t)
	a, b := newMember(t, r.URL(), 200*time.Millisecond), newMember(t, r.URL(), 200*time.Millisecond)
	dead := b.inc()
	b.register("C")
	b.kill()
	a.mu.Lock()
	a.fail = errors.New("no")
	a.mu.Unlock()
	forward(200*time.Millisecond + Grace + time.Millisecond)
	testkit.Eventually(t, "it was tried", func() bool { return a.removals() != "" })
	if alive, err := a.IncarnationAlive(t.Context(), dead); !alive || err != nil {
		t.Errorf("it is forgotten before it is reaped: %v, %v", alive, err)
	}
	a.mu.Lock()
	a.fail = nil
	a.mu.Unlock()
	forward(claimFor) // the claim of the first try
	testkit.Eventually(t, "it is forgotten", func() bool {
		alive, err := a.IncarnationAlive(t.Context(), dead)
		return err == nil && !alive
	})
}

// A channel that fails holds up no other, of none of the dead; nor does one that takes its time.
func TestReapGoesOn(t *testing.T) {
	r, forward := mini(t)
	a := newMember(t, r.URL(), testTTL)
	var want []string
	for range 2 {
		dead := newMember(t, r.URL(), testTTL)
		dead.register("A", "B", "C")
		for _, channel := range []string{"A", "B", "C"} {
			want = append(want, channel+" "+dead.inc())
		}
		dead.kill()
	}
	slices.Sort(want)
	a.mu.Lock()
	a.failsIn, a.fail, a.awaits = "A", errors.New("no"), "C"
	a.mu.Unlock()
	forward(testTTL + Grace + time.Millisecond)
	testkit.Eventually(t, "all channels were tried", func() bool { return a.removals() == strings.Join(want, ", ") })
	a.mu.Lock()
	if a.failed > 0 {
		t.Error("the next of the dead waited for another round")
	}
	a.mu.Unlock()
	testkit.Eventually(t, "the failure is told", func() bool { return a.stats.ReapErrors.Load() > 0 })
	for _, inc := range []string{want[0][2:], want[1][2:]} {
		if alive, err := a.IncarnationAlive(t.Context(), inc); !alive || err != nil {
			t.Errorf("%s is forgotten though a channel failed: %v, %v", inc, alive, err)
		}
	}
}

// A node whose own lease gets into doubt ends what it has begun: the dead may be back, and write their entries again.
func TestReapEndsWithoutLease(t *testing.T) {
	r, forward := mini(t)
	a, b := newMember(t, r.URL(), testTTL), newMember(t, r.URL(), testTTL)
	dead := b.inc()
	var channels []string
	for i := range 2 * maxRemovals {
		channels = append(channels, fmt.Sprint("C", i))
	}
	b.register(channels...)
	b.kill()
	a.mu.Lock()
	a.remove = func() {
		r.Mini().SetError("LOADING Redis is loading the dataset in memory")
		a.Renounce("a test")
	}
	a.mu.Unlock()
	forward(testTTL + Grace + time.Millisecond)
	testkit.Eventually(t, "it has ended", func() bool { return a.stats.ReapErrors.Load() > 0 })
	if n := strings.Count(a.removals(), dead); n == 0 || n > maxRemovals {
		t.Errorf("it has removed from %d channels", n)
	}
	a.mu.Lock()
	a.remove = nil
	a.mu.Unlock()
	r.Mini().SetError("")
	testkit.Eventually(t, "it has a lease again", func() bool { return a.Phase() == Held })
	forward(claimFor)
	testkit.Eventually(t, "it is reaped", func() bool { return a.stats.Reaped.Load() == 1 })
}

// What lingers is put off until its deadline, whichever node comes by then.
func TestReapPutOff(t *testing.T) {
	r, forward := mini(t)
	a, b := newMember(t, r.URL(), 200*time.Millisecond), newMember(t, r.URL(), 200*time.Millisecond)
	dead := b.inc()
	b.register("C")
	b.kill()
	a.mu.Lock()
	a.later = time.Unix(1700000000, 0).Add(time.Minute).UnixMilli()
	a.mu.Unlock()
	forward(200*time.Millisecond + Grace + time.Millisecond)
	score := func() any {
		n, err := a.redis.Do(t.Context(), "zscore", a.keys.Reaping(), dead)
		if err != nil {
			return err
		}
		return n
	}
	testkit.Eventually(t, "it is put off",
		func() bool { return fmt.Sprint(score()) == "1.70000006e+12" || fmt.Sprint(score()) == "1700000060000" })
	if n, err := a.redis.Do(t.Context(), "exists", a.keys.Claim(dead)); err != nil || n != int64(0) {
		t.Errorf("it is claimed: %v, %v", n, err)
	}
	for range 3 {
		if err := a.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := a.reaper.round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.removals(); got != "C "+dead {
		t.Errorf("removed %s before its time", got)
	}
	if alive, err := a.IncarnationAlive(t.Context(), dead); !alive || err != nil {
		t.Errorf("it is forgotten before its time: %v, %v", alive, err)
	}
	a.mu.Lock()
	a.later = math.MaxInt64
	a.mu.Unlock()
	forward(time.Minute)
	testkit.Eventually(t, "it is forgotten", func() bool {
		alive, err := a.IncarnationAlive(t.Context(), dead)
		return err == nil && !alive
	})
}

// DESIGN 3: "only once it has itself held its lease without doubt for a whole ttl".
func TestReaperWaitsForItsOwnLease(t *testing.T) {
	r, forward := mini(t)
	long := 700 * time.Millisecond
	b := newMember(t, r.URL(), long)
	b.register("C")
	b.kill()
	forward(long + Grace + time.Second)
	began := time.Now()
	a := newMember(t, r.URL(), long)
	testkit.Eventually(t, "it was reaped", func() bool { return a.removals() != "" })
	if took := time.Since(began); took < long {
		t.Errorf("reaped after %v, the lease was held for less than %v", took, long)
	}
}

// What an earlier incarnation of its own has left it removes at once, also while it takes a new one again and again.
func TestReapItsOwn(t *testing.T) {
	r, forward := mini(t)
	a, b := newMember(t, r.URL(), time.Hour), newMember(t, r.URL(), time.Hour)
	old := a.inc()
	a.register("C")
	a.Renounce("a test")
	testkit.Eventually(t, "it has a new one", func() bool { return a.Phase() == Held && a.inc() != old })
	forward(time.Hour + Grace + time.Millisecond)
	for _, m := range []*member{b, a} {
		if err := m.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "it was reaped", func() bool { return a.removals() == "C "+old })
	if got := b.removals(); got != "" {
		t.Errorf("another node removed %s", got)
	}
}

// A declaration that waited while Redis stood still says nothing about the others: they are as late as the one that
// declares.
func TestDeclareNeedsOwnLease(t *testing.T) {
	r, forward := mini(t)
	a, b := newMember(t, r.URL(), testTTL), newMember(t, r.URL(), testTTL)
	first := b.inc()
	b.register("C")
	a.kill()
	b.kill()
	a.Cluster.mu.Lock()
	a.Cluster.lease.since = time.Now().Add(-time.Hour)
	a.Cluster.lease.sent = time.Now()
	a.Cluster.mu.Unlock()
	forward(time.Minute)
	if err := a.reaper.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if alive, err := a.IncarnationAlive(t.Context(), first); !alive || err != nil || a.removals() != "" {
		t.Errorf("b was declared dead by a node that is as late: alive %v, %v, removed %q", alive, err, a.removals())
	}
	if err := a.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.reaper.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.removals() != "C "+first {
		t.Errorf("removed %q", a.removals())
	}
}

package app

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/luavm"
)

// ask asks for a worker in the background, in a place in line; got tells whether it came.
func (p *pool) ask(at rank) (got func() *worker) {
	var w atomic.Pointer[worker]
	go func() {
		if x, err := p.get(nil, at, nil); err == nil {
			w.Store(x)
		}
	}()
	synctest.Wait()
	return func() *worker { synctest.Wait(); return w.Load() }
}

func TestLoadFades(t *testing.T) {
	var l load
	if l.now(time.Hour) != 0 || l.rank(time.Hour) != (rank{at: time.Hour}) {
		t.Fatal("who has used nothing stands behind")
	}
	l = l.add(time.Hour, 200*time.Millisecond)
	if at := l.rank(time.Hour); at != (rank{at: time.Hour + time.Second, heavy: true}) {
		t.Errorf("200 ms: %+v", at)
	}
	if used := l.now(time.Hour + halfLife); used != 100*time.Millisecond {
		t.Errorf("after its half-life it is %v", used)
	}
	if at := l.rank(time.Hour + 4*halfLife); at.heavy {
		t.Errorf("after 2 s: %+v", at)
	}
	if l = l.add(time.Hour+halfLife, 50*time.Millisecond); l.now(time.Hour+halfLife) != 150*time.Millisecond {
		t.Errorf("%+v", l)
	}
}

// Who has used more of late comes later, but for ever behind nobody.
func TestPoolTakesThemByShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool(1, 1)
		w := p.must(t, nil)
		much := p.ask(load{}.add(0, 20*time.Millisecond).rank(0)) // as if it came at 100 ms
		for at := 10 * time.Millisecond; at < 100*time.Millisecond; at += 10 * time.Millisecond {
			little := p.ask(load{}.rank(at))
			p.put(w)
			if little() != w || much() != nil {
				t.Fatalf("at %v the one that has used more came first", at)
			}
		}
		late := p.ask(load{}.rank(110 * time.Millisecond))
		p.put(w)
		if much() != w || late() != nil {
			t.Fatal("it waits longer than its share says")
		}
		p.put(w)
		if late() != w {
			t.Fatal("the line does not go on")
		}
	})
}

// Heavy connections have as many workers as can run at once, and others do not wait for them.
func TestPoolKeepsRoomBesideTheHeavy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool(2, 8)
		heavy, light := rank{heavy: true}, rank{}
		busy := []func() *worker{p.ask(heavy), p.ask(heavy)}
		waits := []func() *worker{p.ask(heavy), p.ask(heavy)}
		a, b, c := p.ask(light), p.ask(light), p.ask(light)
		if a() == nil || b() == nil || c() != nil {
			t.Fatal("two light turns, and no third, run beside the heavy")
		}
		if busy[0]() == nil || busy[1]() == nil || waits[0]() != nil || waits[1]() != nil {
			t.Fatal("exactly two heavy turns may run")
		}
		p.put(a())
		p.put(b())
		if c() == nil || waits[0]() != nil {
			t.Fatal("the light one is next, though heavy ones came before, and a worker is idle")
		}
		p.block(1, true)
		if waits[0]() == nil || waits[1]() != nil {
			t.Fatal("one more heavy turn may run while one waits for Redis")
		}
		p.put(waits[0]())
		p.block(-1, true)
		p.put(busy[0]())
		if waits[1]() == nil {
			t.Fatal("the heavy line does not go on")
		}
		for _, w := range []*worker{busy[1](), waits[1](), c()} {
			p.put(w)
		}
		if p.heavy != (running{}) || len(p.idle) != p.size() {
			t.Fatalf("%+v of %d workers, %d idle", p.heavy, p.size(), len(p.idle))
		}
	})
}

// Six clients whose messages take 150 ms do not make another wait for their turns.
func TestHeavyClientsHurtThemselves(t *testing.T) {
	fastest := time.Hour
	for range 5 {
		began := time.Now()
		eval(t, `for i = 1, 50000 do end`)
		fastest = min(fastest, time.Since(began))
	}
	loops := int64(50000 * 150 * time.Millisecond / fastest)
	n := startNode(t, handler(fmt.Sprintf(`
if event.type ~= "message" then return end
if event.message == "ping" then return {send = "pong"} end
for i = 1, %d do end
return {send = "done"}`, loops)), nodeOptions{config: func(c *Config) { c.Limits = luavm.Limits{Budget: time.Hour} }})
	var turns atomic.Int64
	var done sync.WaitGroup
	stop := make(chan struct{})
	defer done.Wait()
	defer close(stop)
	for range 6 {
		c := n.dial("/ws/x")
		c.say("work", "work")
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if c.next() != "done" {
					return
				}
				turns.Add(1)
				c.say("work")
			}
		})
	}
	light := n.dial("/ws/x")
	ping := func() {
		light.say("ping")
		light.expect("pong")
	}
	for turns.Load() < 12 { // until they are known to be heavy
		ping()
	}
	const pings = 20
	before := turns.Load()
	for range pings {
		ping()
	}
	if took := turns.Load() - before; took > pings {
		t.Errorf("for %d turns of a light client others made %d", pings, took)
	}
}

func TestCallersAreForgotten(t *testing.T) {
	var c callers
	for i := range maxCallers {
		c.add(string(rune(i)), 0, time.Millisecond)
	}
	c.add("busy", time.Hour, time.Second)
	if len(c.usages) != 1 || c.of("busy").now(time.Hour) != time.Second {
		t.Fatalf("%d callers are kept", len(c.usages))
	}
}

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/integration_test/chaos/history"
)

const (
	maxDevices = 4
	// dialWithin is how long a client tries one node before it goes elsewhere.
	dialWithin = 1500 * time.Millisecond
)

// crowd is the people. While it rests nobody begins anything.
type crowd struct {
	run     *run
	running sync.WaitGroup

	mu      sync.Mutex
	resting bool
	wake    chan struct{} // closed when the rest is over
}

func newCrowd(r *run) *crowd { return &crowd{run: r, resting: true, wake: make(chan struct{})} }

// rest lets nobody begin anything from now on.
func (c *crowd) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.resting {
		c.resting, c.wake = true, make(chan struct{})
	}
}

// stir ends the rest.
func (c *crowd) stir() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resting {
		c.resting = false
		close(c.wake)
	}
}

func (c *crowd) rests() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resting
}

// may waits while the crowd rests; false when ctx has ended.
func (c *crowd) may(ctx context.Context) bool {
	c.mu.Lock()
	wake := c.wake
	resting := c.resting
	c.mu.Unlock()
	if resting {
		select {
		case <-wake:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// person is one user: a goroutine owns all of it.
type person struct {
	run     *run
	name    string
	rng     *rand.Rand
	rooms   []string
	devices []*device
	number  int
}

// invite adds people, each in one to three of the rooms.
func (c *crowd) invite(ctx context.Context, n int, rooms []string, seed uint64) {
	for i := range n {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		p := &person{run: c.run, name: personName(i), rng: rng}
		for _, j := range rng.Perm(len(rooms))[:1+rng.IntN(min(3, len(rooms)))] {
			p.rooms = append(p.rooms, rooms[j])
		}
		c.running.Go(func() { p.live(ctx) })
	}
}

func personName(i int) string { return fmt.Sprint("u", i) }

// live does one thing after another until ctx ends.
func (p *person) live(ctx context.Context) {
	defer func() {
		for _, d := range p.devices {
			d.leave(0)
		}
	}()
	for p.run.crowd.may(ctx) {
		p.look(ctx)
		p.act(ctx)
		timer := time.NewTimer(p.run.plan.Pace/2 + rand.N(p.run.plan.Pace))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// look drops devices whose connection has ended. Who was sent away from a node that is being replaced comes back
// elsewhere.
func (p *person) look(ctx context.Context) {
	var left []*device
	var back []*host
	for _, d := range p.devices {
		switch {
		case !d.gone():
			left = append(left, d)
			continue
		case d.host.rolls.Load():
			back = append(back, d.host)
		}
		d.leave(0)
	}
	p.devices = left
	for _, h := range back {
		p.connect(ctx, h)
	}
}

// act does one thing.
func (p *person) act(ctx context.Context) {
	dice := p.rng.IntN(100)
	if len(p.devices) == 0 {
		if dice < 60 {
			p.connect(ctx, nil)
		}
		return
	}
	i := p.rng.IntN(len(p.devices))
	d := p.devices[i]
	switch {
	case dice < 12 && len(p.devices) < maxDevices:
		p.connect(ctx, nil)
	case dice < 22:
		p.drop(i)
	case dice < 30: // a page is loaded again, perhaps by another node
		p.drop(i)
		p.connect(ctx, d.host)
	case dice < 38 && len(p.devices) < maxDevices: // moves without a moment's absence
		if p.connect(ctx, d.host) {
			p.settle(ctx, p.devices[len(p.devices)-1])
			if !p.run.crowd.rests() {
				p.drop(i)
			}
		}
	case dice < 44:
		if room := d.tracked(p.rng.IntN(8)); room != "" {
			d.withdraw(room)
		}
	case dice < 50:
		d.again()
	case dice < 75:
		if room := d.tracked(p.rng.IntN(8)); room != "" {
			p.number++
			d.change(room, fmt.Sprint("s", p.number))
		}
	default:
		d.say(d.rooms[p.rng.IntN(len(d.rooms))], "")
	}
	d.doubt()
}

// connect adds a device on some node, rather another than but. It does nothing more once the crowd rests.
func (p *person) connect(ctx context.Context, but *host) bool {
	h := p.run.site.some(p.rng, but)
	if h == nil || p.run.crowd.rests() {
		return false
	}
	route := []history.Route{history.Plain, history.Devices, history.Script, history.Phoenix}[p.rng.IntN(4)]
	d, err := p.run.dial(ctx, h, p.name, route, p.rooms, dialWithin)
	if err != nil {
		return false // the node is dead or deaf: another time, elsewhere
	}
	p.devices = append(p.devices, d)
	if p.run.crowd.rests() {
		d.leave(0)
		return false
	}
	d.enter()
	return true
}

// settle waits until a device has been shown itself in all its rooms, for a time.
func (p *person) settle(ctx context.Context, d *device) {
	for end := time.Now().Add(dialWithin); time.Now().Before(end) && !d.settled() && ctx.Err() == nil; {
		d.doubt()
		time.Sleep(10 * time.Millisecond)
	}
}

func (d *device) settled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, room := range d.rooms {
		if !d.over && !d.seen[room] {
			return false
		}
	}
	return true
}

// drop ends a device's connection, politely or not.
func (p *person) drop(i int) {
	d := p.devices[i]
	p.devices = append(p.devices[:i:i], p.devices[i+1:]...)
	d.leave([]int{websocket.CloseNormalClosure, websocket.CloseGoingAway, 0}[p.rng.IntN(3)])
}

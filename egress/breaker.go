package egress

import (
	"container/list"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Of a host's breaker; doc.go has its states.
const (
	tripAfter = 10 // fetches in a row that got no answer
	openFor   = 5 * time.Second
	maxHosts  = 1024 // of which a breaker is kept; the one longest unused is forgotten
)

// breakers keeps a breaker for each host that was asked of late.
type breakers struct {
	mu    sync.Mutex
	hosts map[string]*list.Element // of *host
	used  list.List                // the last used is the first
}

type host struct {
	key string
	*gobreaker.TwoStepCircuitBreaker[struct{}]
}

// errNoAnswer tells a breaker that a host gave no answer, errGivenUp that nobody waited for it.
var (
	errNoAnswer = errors.New("no answer")
	errGivenUp  = errors.New("given up")
)

// allow asks whether a host may be asked; done is told how that went. The error is an *Error.
func (b *breakers) allow(key string) (done func(error), err error) {
	b.mu.Lock()
	h := b.hostLocked(key)
	b.mu.Unlock()
	if done, err = h.Allow(); err != nil {
		return nil, failed(Breaker, "%s did not answer %d times in a row and is left alone for %v", key, tripAfter, openFor)
	}
	return done, nil
}

func (b *breakers) hostLocked(key string) *host {
	if e := b.hosts[key]; e != nil {
		b.used.MoveToFront(e)
		return e.Value.(*host)
	}
	h := &host{key, gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{Name: key, MaxRequests: 1,
		Timeout:     openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsExcluded:  func(err error) bool { return err == errGivenUp }})}
	if b.hosts == nil {
		b.hosts = map[string]*list.Element{}
	}
	b.hosts[key] = b.used.PushFront(h)
	if len(b.hosts) > maxHosts {
		last := b.used.Back()
		delete(b.hosts, b.used.Remove(last).(*host).key)
	}
	return h
}

// open is how many hosts are left alone now.
func (b *breakers) open() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.hosts {
		if e.Value.(*host).State() == gobreaker.StateOpen {
			n++
		}
	}
	return n
}

package metrics

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// other is the label of what is not in a set, or beyond its cap.
const other = "other"

// fixed are the counters of a set of labels that is known beforehand. Nothing changes in it, so it needs no lock.
type fixed[K comparable] struct {
	known map[K]prometheus.Counter
	rest  prometheus.Counter
}

func newFixed[K comparable](vec *prometheus.CounterVec, keys []K, label func(K) string) fixed[K] {
	f := fixed[K]{known: map[K]prometheus.Counter{}, rest: vec.WithLabelValues(other)}
	for _, k := range keys {
		f.known[k] = vec.WithLabelValues(label(k))
	}
	return f
}

func (f *fixed[K]) of(key K) prometheus.Counter {
	if c, ok := f.known[key]; ok {
		return c
	}
	return f.rest
}

// capped keeps one value for each label of a set that is not known beforehand, up to a number of them; those that come
// later share one. A look-up takes no lock and allocates nothing.
type capped[V any] struct {
	most int
	make func(label string) V

	known atomic.Pointer[map[string]V] // never changed in place

	mu sync.Mutex // one who adds
}

func newCapped[V any](most int, make func(label string) V) *capped[V] {
	c := &capped[V]{most: most, make: make}
	c.known.Store(&map[string]V{})
	return c
}

func (c *capped[V]) of(label string) V {
	if v, ok := (*c.known.Load())[label]; ok {
		return v
	}
	return c.add(label)
}

func (c *capped[V]) add(label string) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := *c.known.Load()
	if len(known) >= c.most {
		label = other
	}
	if v, ok := known[label]; ok {
		return v
	}
	next := make(map[string]V, len(known)+1)
	for k, v := range known {
		next[k] = v
	}
	v := c.make(label)
	next[label] = v
	c.known.Store(&next)
	return v
}

package broker

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Config says which Redis and how to use it. The zero value is an embedded
// in-process Redis for one node.
type Config struct {
	// URL is the address of Redis in the forms of [ParseURL]. Empty: an embedded in-process Redis.
	URL string
	// Prefix begins every key and topic, followed by a colon. Default "rollcall".
	// No braces: they would move the hash tag.
	Prefix string
	// Receivers is the number of links that topics are spread over: of pub/sub connections, in a Cluster
	// with sharded pub/sub of connections to each master. Default 2.
	Receivers int
	// Workers is the number of pipelines that may be in flight at once.
	// Default 1, in a Cluster 8 (so that a dead master holds up few others).
	Workers int
	// WatchEvery is the interval at which each pub/sub connection is checked. A connection
	// that stays silent for two of them is replaced. Default 1 s.
	WatchEvery time.Duration
	// Timeout bounds every wait: for a free worker, for an answer, for the
	// confirmation of a subscription. Default 3 s.
	Timeout time.Duration
	// Observer is told how Redis does. Default: nobody.
	Observer Observer
	// Log takes the few lines the broker has to say. Default: none.
	Log *slog.Logger
}

// defaults returns c with every zero value replaced, but Workers (see Open).
func (c Config) defaults() Config {
	if c.Prefix == "" {
		c.Prefix = "rollcall"
	}
	if c.Receivers == 0 {
		c.Receivers = 2
	}
	if c.WatchEvery == 0 {
		c.WatchEvery = time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 3 * time.Second
	}
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate reports the first field of c that can't be used.
func (c Config) validate() error {
	switch {
	case strings.ContainsAny(c.Prefix, "{}"):
		return fmt.Errorf("redis prefix %q: braces are not allowed", c.Prefix)
	case c.Receivers < 0:
		return fmt.Errorf("receivers: %d is negative", c.Receivers)
	case c.Workers < 0:
		return fmt.Errorf("workers: %d is negative", c.Workers)
	case c.WatchEvery < 0:
		return fmt.Errorf("watch interval: %v is negative", c.WatchEvery)
	case c.Timeout < 0:
		return fmt.Errorf("timeout: %v is negative", c.Timeout)
	}
	return nil
}

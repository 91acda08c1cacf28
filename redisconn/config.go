package redisconn

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

// Config says which Redis and how to use it. The zero value is an embedded
// in-process Redis for one node.
type Config struct {
	// URL is the address of Redis in the forms of [ParseURL]. Empty: an embedded in-process Redis.
	URL string
	// Dial makes the connections, instead of URL: to a server inside this process. nil: URL says where Redis is.
	Dial func(ctx context.Context) (net.Conn, error)
	// Prefix begins every key and topic, followed by a colon. Default "rollcall".
	// No braces: they would move the hash tag.
	Prefix string
	// Batchers is the number of pipelines that may be in flight at once.
	// Default 1, in a Cluster 8 (so that a dead master holds up few others).
	Batchers int
	// Gather bounds the pipelines of a batcher: one may begin in each Gather, and those that did not begin in the last
	// second may begin at once, and so does one of four commands or more. So commands wait for others only under a load
	// that lasts, and then for Gather at most. Default 1 ms; negative: commands never wait.
	Gather time.Duration
	// WatchEvery is the interval at which the client looks whether the same Redis processes answer, and at which pub/sub
	// connections are checked. Default 1 s.
	WatchEvery time.Duration
	// Timeout bounds every wait: for a free batcher and for an answer. Default 3 s.
	Timeout time.Duration
	// Observer is told how Redis does. Default: nobody.
	Observer Observer
	// Log takes the few lines the client has to say. Default: none.
	Log *slog.Logger
}

// defaults returns c with every zero value replaced, but Batchers (see Open).
func (c Config) defaults() Config {
	if c.Prefix == "" {
		c.Prefix = "rollcall"
	}
	if c.Gather == 0 {
		c.Gather = time.Millisecond
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
	case c.Batchers < 0:
		return fmt.Errorf("batchers: %d is negative", c.Batchers)
	case c.WatchEvery < 0:
		return fmt.Errorf("watch interval: %v is negative", c.WatchEvery)
	case c.Timeout < 0:
		return fmt.Errorf("timeout: %v is negative", c.Timeout)
	}
	return nil
}

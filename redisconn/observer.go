package redisconn

import (
	"context"
	"errors"
	"time"
)

// Observer is told how Redis does, for metrics. Its methods are called from many goroutines and must not block.
type Observer interface {
	// Batched is called after each pipeline: how many commands, and how long until the last had its outcome.
	Batched(commands int, took time.Duration)
	// Failed is called for each command without success; Nil is one.
	Failed(why Failure)
}

// Failure is why a command had no success; it is also the label of metrics.
type Failure string

const (
	Unavailable Failure = "unavailable" // not carried out: Redis was away, or would not serve
	Unknown     Failure = "unknown"     // the answer was lost
	Full        Failure = "full"        // not carried out: Redis has reached its maxmemory
	Refused     Failure = "refused"     // Redis's own answer was an error
	Timeout     Failure = "timeout"     // its caller waited no longer; it may be carried out all the same
	Overloaded  Failure = "overloaded"  // too many wait already
)

// Failures lists every Failure, for metrics that want all labels from the start.
func Failures() []Failure { return []Failure{Unavailable, Unknown, Full, Refused, Timeout, Overloaded} }

// failureOf labels an error that classify gave.
func failureOf(err error) Failure {
	switch {
	case isUnknown(err):
		return Unknown
	case errors.Is(err, ErrFull):
		return Full
	case isUnavailable(err):
		return Unavailable
	}
	return Refused
}

// noObserver is the Observer of a Client that was given none.
type noObserver struct{}

func (noObserver) Batched(int, time.Duration) {}
func (noObserver) Failed(Failure)             {}

// gaveUp tells the observer of a caller who left before the answer, unless the caller went away by itself.
func (c *Client) gaveUp(err error) {
	if !errors.Is(err, context.Canceled) {
		c.cfg.Observer.Failed(Timeout)
	}
}

// Stats is how a client is at one moment.
type Stats struct {
	Queue int // commands that wait for a pipeline
	Bytes int // what they carry
}

// Stats asks all batchers.
func (c *Client) Stats() (s Stats) {
	for _, w := range c.batchers {
		w.mu.Lock()
		s.Queue += len(w.queue)
		s.Bytes += w.bytes
		w.mu.Unlock()
	}
	return s
}

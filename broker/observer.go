package broker

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
	// Published is called after each Publish and PublishMany, also a failed one.
	Published(took time.Duration)
	// Echoed is called when a message that this broker published to itself came back over one of its subscriptions.
	Echoed(took time.Duration)
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

// noObserver is the Observer of a Broker that was given none.
type noObserver struct{}

func (noObserver) Batched(int, time.Duration) {}
func (noObserver) Failed(Failure)             {}
func (noObserver) Published(time.Duration)    {}
func (noObserver) Echoed(time.Duration)       {}

// gaveUp tells the observer of a caller who left before the answer, unless the caller went away by itself.
func (b *Broker) gaveUp(err error) {
	if !errors.Is(err, context.Canceled) {
		b.cfg.Observer.Failed(Timeout)
	}
}

// Stats is how a broker is at one moment, and what it has counted.
type Stats struct {
	Queue    int    // commands that wait for a pipeline
	Bytes    int    // what they carry
	Topics   int    // known to the pub/sub connections
	Links    int    // pub/sub connections that stand
	Breaks   uint64 // pub/sub connections that were lost
	Messages uint64 // received from subscriptions, those without a receiver too
}

// Stats asks all workers and connections.
func (b *Broker) Stats() (s Stats) {
	for _, w := range b.workers {
		w.mu.Lock()
		s.Queue += len(w.queue)
		s.Bytes += w.bytes
		w.mu.Unlock()
	}
	for _, l := range b.links {
		l.mu.Lock()
		s.Topics += len(l.topics)
		s.Messages += l.messages
		s.Breaks += l.breaks
		s.Links += l.standing
		l.mu.Unlock()
	}
	return s
}

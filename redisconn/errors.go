package redisconn

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Nil is Redis's answer for "there is no such value".
const Nil = redis.Nil

var (
	// ErrUnavailable is, by errors.Is, every error that means that Redis could not be reached, gave no answer, or
	// answered that it cannot serve now (loading, read-only replica, cluster down,
	// out of memory, …).
	ErrUnavailable = errors.New("redis unavailable")
	// ErrUnknown is, by errors.Is, every ErrUnavailable after which the command may have been
	// carried out all the same: the connection broke or the wait ended after
	// it may have been sent. An ErrUnavailable that is no ErrUnknown: it was not carried out.
	ErrUnknown = errors.New("outcome unknown")
	// ErrFull is the cause when Redis has reached its maxmemory. It comes as ErrUnavailable, not carried out.
	ErrFull = errors.New("redis is full (maxmemory)")
	// ErrClosed is the cause of errors after Close. It comes as ErrUnavailable.
	ErrClosed = errors.New("connection to redis closed")
	// ErrOverloaded: too many commands wait for Redis. It comes as ErrUnavailable.
	ErrOverloaded = errors.New("too many commands wait for redis")

	errTimeout = errors.New("no answer in time")
)

// unavailable is the one error type behind ErrUnavailable and ErrUnknown.
type unavailable struct {
	unknown bool
	cause   error
}

func (e *unavailable) Error() string {
	if e.unknown {
		return "redis unavailable, outcome unknown: " + e.cause.Error()
	}
	return "redis unavailable: " + e.cause.Error()
}

func (e *unavailable) Unwrap() error { return e.cause }

func (e *unavailable) Is(target error) bool {
	return target == ErrUnavailable || e.unknown && target == ErrUnknown
}

func notSent(cause error) error { return &unavailable{cause: cause} }

func unknown(cause error) error { return &unavailable{unknown: true, cause: cause} }

// refusals are the beginnings of answers by which Redis says that it did not
// carry out the command because it can't serve now. A script that got one of them from its first
// write has done nothing either: Redis checks them before or at the first write.
var refusals = []string{
	"LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS",
	"BUSY", "MISCONF", "max number of clients reached",
}

// redirects are left over when go-redis ran out of them, but also when the connection
// broke to which it had redirected the command: go-redis keeps the first error. So the outcome is unknown.
var redirects = []string{"MOVED", "ASK"}

// noServer are the beginnings of go-redis's errors, without a type of their own, for finding no server to send to.
var noServer = []string{
	"redis: all sentinels specified in configuration are unreachable",
	"redis: cluster has no nodes",
}

// classify turns what go-redis returned for one command into the errors of this package.
// nil, Nil and Redis's own answers stay as they are.
func classify(err error) error {
	if err == nil || err == Nil {
		return err
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		// The second form is what Redis 6 says within the error of a script.
		if redis.HasErrorPrefix(err, "OOM") || strings.Contains(err.Error(), "-OOM command not allowed") {
			return notSent(ErrFull)
		}
		for _, prefix := range refusals {
			if redis.HasErrorPrefix(err, prefix) {
				return notSent(err)
			}
		}
		for _, prefix := range redirects {
			if redis.HasErrorPrefix(err, prefix) {
				return unknown(err)
			}
		}
		return err
	}
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial",
		errors.Is(err, redis.ErrPoolTimeout),
		errors.Is(err, redis.ErrPoolExhausted),
		errors.Is(err, redis.ErrClosed):
		return notSent(err)
	}
	for _, prefix := range noServer {
		if strings.HasPrefix(err.Error(), prefix) {
			return notSent(err)
		}
	}
	return unknown(err)
}

// left is the error for a caller whose ctx ended, or whose time was over, before the answer.
// taken: the command was on its way already.
func left(ctx context.Context, taken bool) error {
	cause := context.Cause(ctx)
	if cause == nil {
		cause = errTimeout
	}
	if taken {
		return unknown(cause)
	}
	return notSent(cause)
}

func isUnavailable(err error) bool {
	_, ok := err.(*unavailable)
	return ok
}

func isUnknown(err error) bool {
	u, ok := err.(*unavailable)
	return ok && u.unknown
}

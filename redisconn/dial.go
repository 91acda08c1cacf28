package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"rollcall/rawsock"
)

const (
	dialTimeout = time.Second
	// topologyEvery is how often go-redis reads the slots of a Cluster again. With its
	// default a client dialled a dead master for a minute.
	topologyEvery = time.Second
)

// newClient makes the go-redis client for a. Nothing is retried by go-redis:
// it would run a command again after a lost answer. RESP2, because one form of
// pub/sub message and of replies is enough, and cheaper to read.
func newClient(a Address, cfg Config) redis.UniversalClient {
	timeout := cfg.Timeout
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch a.Kind {
	case Cluster:
		client := redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: a.Hosts, Username: a.Username, Password: a.Password, TLSConfig: a.TLS,
			Dialer: cfg.dialer(a.TLS), Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: quiet,
			MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: 1,
			ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout, ContextTimeoutEnabled: true,
			PipelinePoolSize: -1, ClusterStateReloadInterval: topologyEvery,
			DisableRoutingPolicies: true,
		})
		// The resolver refuses a whole pipeline for one command that it would like
		// to send to every shard; here a command goes to the slot of its first key.
		client.SetCommandInfoResolver(nil)
		return client
	case Sentinel:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: a.Master, SentinelAddrs: a.Hosts,
			SentinelUsername: a.SentinelUsername, SentinelPassword: a.SentinelPassword,
			Username: a.Username, Password: a.Password, DB: a.DB, TLSConfig: a.TLS,
			Dialer: cfg.dialer(a.TLS), Protocol: 2, DisableIdentity: true,
			MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: 1,
			ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout, ContextTimeoutEnabled: true,
			PipelinePoolSize: -1,
		})
	default:
		return redis.NewClient(&redis.Options{
			Network: a.Network, Addr: a.Hosts[0],
			Username: a.Username, Password: a.Password, DB: a.DB, TLSConfig: a.TLS,
			Dialer: cfg.dialer(a.TLS), Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: quiet,
			MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: 1,
			ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout, ContextTimeoutEnabled: true,
			PipelinePoolSize: -1,
		})
	}
}

type withoutDialKey struct{}

var errNoDial = errors.New("this pub/sub connection is not made again")

// WithoutDial marks ctx so that nothing dials under it. go-redis's PubSub makes a broken
// connection again by itself, within the call that saw the error. Who must know which
// connection an answer came from makes the connection, and marks every later call.
func WithoutDial(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutDialKey{}, true)
}

// dialer makes the connections of go-redis.
func (c Config) dialer(secure *tls.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := redis.NewDialer(&redis.Options{DialTimeout: dialTimeout, TLSConfig: secure})
	if c.Dial != nil {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return c.Dial(ctx) }
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if ctx.Value(withoutDialKey{}) != nil {
			return nil, errNoDial
		}
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return rawsock.Conn(nc), nil
	}
}

// once marks a command as not to be sent again. go-redis's Cluster client sends a pipeline anew after
// a lost answer, and all of it when its first command is refused, even with retries
// turned off. Redirects (MOVED, ASK) still work.
type once struct{ redis.Cmder }

func (once) NoRetry() bool { return true }

func onceEach(cmds []redis.Cmder) []redis.Cmder {
	marked := make([]redis.Cmder, len(cmds))
	for i, cmd := range cmds {
		marked[i] = once{cmd}
	}
	return marked
}

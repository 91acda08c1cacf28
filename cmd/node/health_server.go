package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"rollcall/app"
	"rollcall/overload"
)

// healthServer serves /healthz, /readyz and /metrics on a listener of their own (--health-listen), from before the node
// waits for Redis until after its last client has gone.
type healthServer struct {
	ln      net.Listener
	http    *http.Server
	handler atomic.Pointer[http.Handler]
	served  chan struct{} // closed when it serves no more
}

func openHealth(addr string, h http.Handler, onRefuse func(overload.Reason), log *slog.Logger) (*healthServer, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, usagef("--health-listen: %v: give a free address", err)
	}
	// no limit but that of files
	door := newDoor(ln, overload.NewAdmission(overload.Config{}), files{}, &Config{}, onRefuse, log)
	s := &healthServer{ln: door, served: make(chan struct{})}
	s.serve(h)
	s.http = newHTTP(func(w http.ResponseWriter, r *http.Request) { (*s.handler.Load()).ServeHTTP(w, r) }, door,
		timeouts{request: 10 * time.Second, answer: 30 * time.Second}, log)
	go func() {
		defer close(s.served)
		if err := s.http.Serve(door); err != http.ErrServerClosed {
			log.Error("health is served no more", "error", err)
		}
	}()
	return s, nil
}

func (s *healthServer) serve(h http.Handler) { s.handler.Store(&h) }

// close ends it; nil: there is none.
func (s *healthServer) close(ctx context.Context) {
	if s == nil {
		return
	}
	_ = s.http.Shutdown(ctx) // what is still under way after that is cut
	_ = s.http.Close()
	<-s.served
}

// startingHealth answers while the node waits for Redis.
func (n *node) startingHealth(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/healthz":
		_, _ = io.WriteString(w, "ok\n") // the client has gone
	case "/metrics":
		n.metrics.Handler().ServeHTTP(w, r)
	default:
		starting(w, r)
	}
}

// starting answers for the app and the API while the node waits for Redis.
func starting(w http.ResponseWriter, _ *http.Request) {
	(&app.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "not ready: waiting for Redis"}).Write(w)
}

// openHealth begins to serve health on its own listener, if there is to be one. It gives what the node's listener
// answers meanwhile.
func (n *node) openHealth() (http.HandlerFunc, error) {
	if n.cfg.HealthListen == "" {
		return n.startingHealth, nil
	}
	var err error
	if n.health, err = openHealth(n.cfg.HealthListen, http.HandlerFunc(n.startingHealth), n.socketRefused,
		n.log); err != nil {
		return nil, err
	}
	n.log.Info("health is served apart", "address", n.health.ln.Addr().String())
	return starting, nil
}

// askAddress is where a node that listens on an address can be asked on its own machine.
func askAddress(flag, listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", usagef("%s: %v: give host:port, or :port", flag, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

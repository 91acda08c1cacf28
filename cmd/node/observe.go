package main

import (
	"log/slog"
	"time"

	"rollcall/app"
	"rollcall/auth"
	"rollcall/metrics"
	"rollcall/outbox"
	"rollcall/overload"
	"rollcall/redisconn"
)

// refusedOrigin is the label of upgrades that app refuses; for the others see package overload.
const refusedOrigin = "origin"

// newMetrics makes the metrics of this node, all 0.
func newMetrics() *metrics.Metrics {
	cfg := metrics.Config{Version: versionText(), CloseCodes: []int{1005, 1006}}
	for _, why := range outbox.Whys() {
		cfg.Whys = append(cfg.Whys, string(why))
	}
	for _, why := range redisconn.Failures() {
		cfg.Failures = append(cfg.Failures, string(why))
	}
	for _, c := range outbox.CloseCodes() {
		cfg.CloseCodes = append(cfg.CloseCodes, c.Code)
	}
	m := metrics.New(cfg)
	codes, sockets, reasons := []string{}, []string{}, []string{refusedOrigin}
	for _, r := range overload.UpgradeReasons() {
		reasons = append(reasons, string(r))
	}
	for _, r := range overload.SocketReasons() {
		sockets = append(sockets, string(r))
	}
	for _, c := range auth.Codes() {
		codes = append(codes, string(c))
	}
	m.ExpectRefusals(reasons, sockets, codes)
	return m
}

// socketRefused counts a socket that the door has refused.
func (n *node) socketRefused(why overload.Reason) { n.metrics.SocketRefused(string(why)) }

// watch lets each scrape ask these, and whether the node is ready.
func (n *node) watch(ready func() error, rooms ...func(metrics.Scrape)) {
	n.metrics.Watch(append(rooms, func(s metrics.Scrape) {
		s.Gauge("rollcall_ready", "1 while /readyz answers 200.", metrics.Bool(ready() == nil))
		s.Gauge("rollcall_draining", "1 while the node sends its clients away.", metrics.Bool(n.draining.Load()))
	})...)
}

// measureJWKS tells metrics how the following of the JWKS goes, if there is one.
func (n *node) measureJWKS(s metrics.Scrape) {
	status, ok := n.tokens.JWKS()
	if !ok {
		return
	}
	fetched := 0.0
	if !status.Fetched.IsZero() {
		fetched = float64(status.Fetched.UnixMilli()) / 1000
	}
	s.Gauge("rollcall_jwks_keys", "Keys of the JWKS that are in use.", float64(status.Keys))
	s.Gauge("rollcall_jwks_last_success_timestamp_seconds",
		"When the JWKS was last fetched, in Unix time; 0: never.", fetched)
	s.Gauge("rollcall_jwks_failures", "Fetches of the JWKS that failed in a row since the last success.",
		float64(status.Failures))
}

// socketObserver counts and logs what sockets have to say.
type socketObserver struct {
	*metrics.Metrics
	log *slog.Logger
}

func (o socketObserver) Closed(_ *outbox.Conn, info outbox.CloseInfo) {
	o.Metrics.Closed(string(info.Why), info.Code)
}

func (o socketObserver) Panicked(c *outbox.Conn, value any, stack []byte) {
	o.Metrics.Panicked()
	o.log.Error("handler panicked", "connection", c.ID(), "panic", value, "stack", string(stack))
}

// redisObserver counts how Redis does.
type redisObserver struct{ *metrics.Metrics }

func (o redisObserver) Failed(why redisconn.Failure) { o.CommandFailed(string(why)) }

// handlerObserver counts what handlers do.
type handlerObserver struct{ m *metrics.Metrics }

func (o handlerObserver) Ran(kind app.RunKind, route string, took time.Duration) {
	if kind == app.RunScript {
		o.m.ScriptRan(route, took)
		return
	}
	o.m.Ran(string(kind), route, took)
}

func (o handlerObserver) Failed(f app.Failure) {
	if f.Reason == app.ReasonDenied {
		o.m.HandlerDenied(string(f.Kind), f.Route)
		return
	}
	o.m.HandlerFailed(string(f.Kind), f.Route, string(f.Reason))
}

func (o handlerObserver) OriginRefused() { o.m.Refused(refusedOrigin) }

func (o handlerObserver) TokenRefused(code auth.Code) { o.m.TokenRefused(string(code)) }

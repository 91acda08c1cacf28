package main

import (
	"log/slog"
	"time"

	"rollcall/app"
	"rollcall/auth"
	"rollcall/metrics"
	"rollcall/overload"
	"rollcall/redisconn"
	"rollcall/wsconn"
)

// refusedOrigin is the label of upgrades that app refuses; for the others see package overload.
const refusedOrigin = "origin"

// newMetrics makes the metrics of this node, all 0. Until watchRooms they say that it is not ready.
func newMetrics() *metrics.Metrics {
	cfg := metrics.Config{Version: versionText(), CloseCodes: []int{1005, 1006}}
	for _, why := range wsconn.Whys() {
		cfg.Whys = append(cfg.Whys, string(why))
	}
	for _, why := range redisconn.Failures() {
		cfg.Failures = append(cfg.Failures, string(why))
	}
	for _, c := range wsconn.CloseCodes() {
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

// watchRooms lets each scrape ask the rooms, which are all built.
func (n *node) watchRooms() {
	n.metrics.Watch(func() metrics.Snapshot {
		return metrics.Snapshot{Ready: n.ready() == nil, Draining: n.draining.Load(), Rooms: n.rooms(), JWKS: n.jwks()}
	})
}

// jwks is how the following of the JWKS goes; nil without one.
func (n *node) jwks() *metrics.JWKS {
	status, ok := n.tokens.JWKS()
	if !ok {
		return nil
	}
	return &metrics.JWKS{Keys: status.Keys, Fetched: status.Fetched, Failures: status.Failures}
}

// rooms is the state of the rooms at this moment.
func (n *node) rooms() *metrics.Rooms {
	load, redis, topics, hub, cluster := n.hub.Load(), n.redis.Stats(), n.broker.Stats(), n.hub.Stats(), n.cluster.Stats()
	presence, census, lua := n.tracker.Stats(), n.tracker.Census(), n.app.Stats()
	return &metrics.Rooms{
		Connections: n.sockets.Len(), Accepted: n.sockets.Stats().Accepted.Load(), Dropped: n.sockets.Stats().Dropped.Load(),

		Channels: load.Channels, BroadcastsPublished: hub.Broadcasts.Load(), BroadcastsReceived: hub.Fanouts.Load(), Deliveries: hub.Delivered.Load(),

		RedisQueue: redis.Queue, RedisQueueBytes: redis.Bytes, RedisMessages: topics.Messages, RedisTopics: topics.Topics, RedisLinks: topics.Conns, RedisLinkBreaks: topics.Breaks,
		RedisBreaks: n.redis.Breaks(),

		Lease: n.cluster.Phase().Label(), Nodes: len(n.cluster.Nodes()), Incarnations: cluster.Incarnations.Load(),
		ReapedIncarnations: cluster.Reaped.Load(), ReapedEntries: n.store.Reaped(), ReapErrors: cluster.ReapErrors.Load(),
		QuestionsDropped: cluster.Dropped.Load(), QuestionsRefused: cluster.Refused.Load(),

		PresenceChannels: census.Channels, PresenceUsers: census.Users, PresenceEntries: census.Entries, PresencePending: census.Pending, PresenceHeld: census.Held,
		Resyncs: presence.Resyncs(), Audits: presence.Audits.Load(), PresenceMerged: presence.Merged.Load(), PresenceRefused: presence.Refused.Load(), AuditErrors: presence.Failed.Load(),
		Snapshots: presence.Loads.Load(), Gaps: presence.Gaps.Load(), Repairs: presence.Repairs.Load(), Orphans: presence.Orphans.Load(),

		VMs: lua.VMs, VMsBusy: lua.Busy, TurnQueue: lua.Waiting, Scripts: lua.Scripts, GateQueue: lua.GateQueue, GateWaited: lua.GateWaited, LuaMemory: lua.Memory, LogDropped: lua.Dropped,
	}
}

// socketObserver counts and logs what sockets have to say.
type socketObserver struct {
	*metrics.Metrics
	log *slog.Logger
}

func (o socketObserver) Closed(c *wsconn.Conn, info wsconn.CloseInfo) {
	o.Metrics.Closed(string(info.Why), info.Code)
	o.log.Debug("connection closed", "connection", c.ID(), "code", info.Code, "reason", info.Reason, "why", info.Why)
}

func (o socketObserver) Panicked(c *wsconn.Conn, value any, stack []byte) {
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

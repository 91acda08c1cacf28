package app

import (
	"time"

	"rollcall/hub"
	"rollcall/outbox"
	"rollcall/presence"
)

// ending tells presence how a connection ended (SPEC 3), and why (SPEC 10). One that dropped has no close handshake; a
// client closes with 1001 when a page is loaded again. With 1012 and 1001 this node sends its clients to another one.
func ending(info outbox.CloseInfo) (hub.Ending, presence.Cause) {
	cause := causeOf(info.Why)
	comesBack := info.Code == outbox.CodeGoingAway || info.Code == outbox.CodeRestart
	switch {
	case !info.ByPeer && comesBack:
		return hub.SentAway, cause
	case info.ByPeer && (!info.Clean || info.Code == outbox.CodeGoingAway):
		return hub.Dropped, cause
	}
	return hub.Closed, cause
}

func causeOf(why outbox.Why) presence.Cause {
	switch why {
	case outbox.WhyServer, outbox.WhyPeer:
		return presence.CauseClosed
	case outbox.WhyDropped, outbox.WhyDead:
		return presence.CauseLost
	case outbox.WhyKicked:
		return presence.CauseKicked
	case outbox.WhyExpired:
		return presence.CauseExpired
	case outbox.WhySlow:
		return presence.CauseSlow
	case outbox.WhyDrained, outbox.WhyShutdown:
		return presence.CauseDrained
	}
	return presence.CauseError // protocol, policy, and what failed here
}

// Config.LogConnections: what of connections is logged.
const (
	LogEnds       = "ends"
	LogBeginnings = "all" // and ends
)

func (s *Server) logBegin(a *accepted, route string) {
	if s.cfg.LogConnections == LogBeginnings {
		s.cfg.Log.Info("connection opened", "connection", a.ws.ID(), "user", a.userID, "route", route, "address", a.addr)
	}
}

func (s *Server) logEnd(a *accepted, route string, info outbox.CloseInfo) {
	if s.cfg.LogConnections == LogEnds || s.cfg.LogConnections == LogBeginnings {
		s.cfg.Log.Info("connection closed", "connection", a.ws.ID(), "user", a.userID, "route", route, "address", a.addr,
			"code", info.Code, "reason", info.Reason, "cause", string(causeOf(info.Why)),
			"seconds", (s.now() - a.began).Round(time.Millisecond).Seconds())
	}
}

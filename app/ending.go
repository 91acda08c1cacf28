package app

import (
	"time"

	"rollcall/hub"
	"rollcall/presence"
	"rollcall/wsconn"
)

// ending tells presence how a connection ended (SPEC 3), and why (SPEC 10). One that dropped has no close handshake; a
// client closes with 1001 when a page is loaded again. With 1012 and 1001 this node sends its clients to another one.
func ending(info wsconn.CloseInfo) (hub.Ending, presence.Cause) {
	cause := causeOf(info.Why)
	comesBack := info.Code == wsconn.CodeGoingAway || info.Code == wsconn.CodeRestart
	switch {
	case !info.ByPeer && comesBack:
		return hub.SentAway, cause
	case info.ByPeer && (!info.Clean || info.Code == wsconn.CodeGoingAway):
		return hub.Dropped, cause
	}
	return hub.Closed, cause
}

func causeOf(why wsconn.Why) presence.Cause {
	switch why {
	case wsconn.WhyServer, wsconn.WhyPeer:
		return presence.CauseClosed
	case wsconn.WhyDropped, wsconn.WhyDead:
		return presence.CauseLost
	case wsconn.WhyKicked:
		return presence.CauseKicked
	case wsconn.WhyExpired:
		return presence.CauseExpired
	case wsconn.WhySlow:
		return presence.CauseSlow
	case wsconn.WhyDrained, wsconn.WhyShutdown:
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

func (s *Server) logEnd(a *accepted, route string, info wsconn.CloseInfo) {
	if s.cfg.LogConnections == LogEnds || s.cfg.LogConnections == LogBeginnings {
		s.cfg.Log.Info("connection closed", "connection", a.ws.ID(), "user", a.userID, "route", route, "address", a.addr,
			"code", info.Code, "reason", info.Reason, "cause", string(causeOf(info.Why)),
			"seconds", (s.now() - a.began).Round(time.Millisecond).Seconds())
	}
}

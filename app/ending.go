package app

import (
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

package app

import (
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

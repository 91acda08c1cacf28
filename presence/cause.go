package presence

// Cause is why a connection left a channel (SPEC 10).
type Cause string

// The causes.
const (
	CauseUnknown   Cause = ""          // this node learnt of it only as it read the channel again
	CauseClosed    Cause = "closed"    // by the client or its handler, or its script came to an end
	CauseLost      Cause = "lost"      // no close frame
	CauseUntracked Cause = "untracked" // it is there, but not tracked any more, or as somebody else
	CauseKicked    Cause = "kicked"    // by the API, ws_close or ws_close_user
	CauseExpired   Cause = "expired"   // the token
	CauseSlow      Cause = "slow"      // it took too slowly what was sent
	CauseError     Cause = "error"     // handler, script, protocol or policy
	CauseDrained   Cause = "drained"   // its node sent it away
	CauseNodeLost  Cause = "node_lost" // its node, or what Redis held of it
)

// causeMark begins what stands in a change before the connections that left for a cause.
const causeMark = '='

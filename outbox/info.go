package outbox

import "errors"

// Errors of Send and Add.
var (
	// ErrClosed: the connection cannot send any more: it is being closed or the peer has gone.
	ErrClosed = errors.New("connection closed")
	// ErrSlow: the frame did not fit into the outbox; the connection is being closed with 1013.
	ErrSlow = errors.New("send queue full")
	// ErrServerClosed: a connection came after Sockets.Close.
	ErrServerClosed = errors.New("server closed")
)

// Why is what ended a connection; it is also the label of metrics.
type Why string

const (
	WhyServer   Why = "server"       // Conn.Close was called
	WhyKicked   Why = "kicked"       // Conn.CloseFor: the back end or another connection asked for it
	WhyExpired  Why = "expired"      // Conn.CloseFor: the client's token is over
	WhyFailed   Why = "failed"       // Conn.CloseFor: what serves the connection failed, or does not allow what it did
	WhyDrained  Why = "drained"      // Conn.CloseFor: the node sends its clients away
	WhyPeer     Why = "peer"         // the peer sent a close frame
	WhyDropped  Why = "dropped"      // the stream ended or broke without one
	WhyDead     Why = "dead_peer"    // two pings stayed unanswered
	WhySlow     Why = "slow"         // the outbox was full
	WhyRate     Why = "message_rate" // too many messages or control frames
	WhyTooBig   Why = "too_big"      // a message over the limit
	WhyProtocol Why = "protocol"     // a malformed frame
	WhyBadText  Why = "bad_text"     // text that is not UTF-8
	WhyPanic    Why = "panic"        // the Handler panicked
	WhyShutdown Why = "shutdown"     // Server.Close
)

// Whys returns every Why, for metrics that want all labels from the start.
func Whys() []Why {
	return []Why{WhyServer, WhyKicked, WhyExpired, WhyFailed, WhyDrained, WhyPeer, WhyDropped, WhyDead, WhySlow, WhyRate,
		WhyTooBig, WhyProtocol, WhyBadText, WhyPanic, WhyShutdown}
}

// CloseInfo tells how a connection ended.
//
//	client closed with a code      Code its, 1005 if it gave none; Clean, ByPeer, WhyPeer
//	client vanished                Code 1006; ByPeer, WhyDropped or WhyDead
//	server closed                  Code ours; Clean if the client answered with a close frame; Why tells the cause
type CloseInfo struct {
	Code   int
	Reason string
	Clean  bool // the peer's close frame came
	ByPeer bool // the peer began, by a close frame or by vanishing
	Why    Why
	Status int // of HTTP, with which Refuse refused the connection; 0: it did not
}

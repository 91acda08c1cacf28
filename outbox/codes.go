package outbox

import (
	"strings"
	"unicode/utf8"
)

// Close codes this server uses (RFC 6455, 7.4.1, and the application's own from 4400).
const (
	CodeNormal       = 1000 // the handler's own, a script's end, the API
	CodeGoingAway    = 1001 // this node goes; from a client: it left the page
	CodeProtocol     = 1002 // malformed frames
	CodeBadText      = 1007 // a text message that is not UTF-8
	CodePolicy       = 1008 // message rate and the like
	CodeTooBig       = 1009 // a message over the limit
	CodeInternal     = 1011 // a handler failed
	CodeRestart      = 1012 // the node drains
	CodeTryLater     = 1013 // the client takes too slowly, or the node is overloaded
	CodeTokenExpired = 4401 // the token expired while connected
	CodeRefused      = 4403 // the connect handler refused
)

// Codes that are never sent (RFC 6455, 7.4.1): the peer's close frame had none; there was no close frame.
const (
	CodeNoStatus = 1005
	CodeAbnormal = 1006
)

// Advice is what a client should do after a close code.
type Advice string

const (
	// StayAway: connecting again would end in the same way; something at the client must change first.
	StayAway Advice = "do not reconnect"
	// ReconnectNow: connect again at once, with some jitter, to any node.
	ReconnectNow Advice = "reconnect"
	// ReconnectLater: connect again after a growing wait.
	ReconnectLater Advice = "reconnect later"
	// RenewFirst: get a new token, then connect again.
	RenewFirst Advice = "renew the token, then reconnect"
)

// CloseCode is one row of the table of close codes.
type CloseCode struct {
	Code    int
	Name    string // short, for metrics and logs
	Meaning string // for readers of the docs
	Client  Advice
}

// CloseCodes returns the codes that a client can get from this server, in order.
func CloseCodes() []CloseCode {
	return []CloseCode{
		{CodeNormal, "normal", "the handler, a script or the API ended the connection", StayAway},
		{CodeGoingAway, "going_away", "the node stops", ReconnectNow},
		{CodeProtocol, "protocol_error", "a malformed frame", StayAway},
		{CodeBadText, "bad_text", "a text message that is not UTF-8", StayAway},
		{CodePolicy, "policy", "too many messages", ReconnectLater},
		{CodeTooBig, "too_big", "a message over the size limit", StayAway},
		{CodeInternal, "internal_error", "the handler failed", ReconnectLater},
		{CodeRestart, "restart", "the node drains before a restart", ReconnectNow},
		{CodeTryLater, "try_later", "the client took too slowly what was sent, or the node is overloaded",
			ReconnectLater},
		{CodeTokenExpired, "token_expired", "the token expired while connected", RenewFirst},
		{CodeRefused, "refused", "the handler refused the connection", StayAway},
	}
}

// ValidCode reports whether a close frame may carry code: 1000 to 1014 without the reserved ones, or 3000 to
// 4999 (RFC 6455, 7.4.2).
func ValidCode(code int) bool {
	switch {
	case code == 1004 || code == CodeNoStatus || code == CodeAbnormal:
		return false
	case code >= 1000 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

// maxReason is the longest reason that a close frame can hold, in bytes (RFC 6455, 5.5).
const maxReason = 123

// CutReason returns reason as valid UTF-8 of at most 123 bytes, what a close frame can hold.
func CutReason(reason string) string {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) <= maxReason {
		return reason
	}
	n := maxReason
	for !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}

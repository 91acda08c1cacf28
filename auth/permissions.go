package auth

import "strings"

// Permissions are the channels that a token allows: its claim "channels", an array of patterns. They count on routes
// with permissions = "claims". The zero value, of anonymous clients and of tokens without the claim, allows none.
//
// In a pattern "*" stands for any text, also for none and across ":" and "/"; it may stand anywhere and more than once.
// Every other character stands for itself, in the same case; nothing escapes a "*". So "*" allows every channel,
// "room:*" those that begin with "room:", "user:42" that one alone, "room:*:chat" also "room:a:b:chat"; "" allows none.
//
// Permissions do not change and may be used from many goroutines.
type Permissions struct {
	patterns []string
	fault    string // why the claim counts as absent
}

// newPermissions reads the claim; raw is nil when the token has none. A claim of another shape allows nothing: some
// issuers use the name for other things, and such tokens are good where the claim does not count.
func newPermissions(raw []byte) Permissions {
	if raw == nil {
		return Permissions{fault: "the token has no claim channels"}
	}
	patterns, ok := stringsOf(raw)
	if !ok {
		return Permissions{fault: "the token's claim channels is no array of strings"}
	}
	return Permissions{patterns: patterns}
}

// Allows tells whether a channel may be joined, tracked in and broadcast to.
func (p Permissions) Allows(channel string) bool {
	for _, pattern := range p.patterns {
		if match(pattern, channel) {
			return true
		}
	}
	return false
}

// Check is Allows with an error for the handler's author.
func (p Permissions) Check(channel string) error {
	if p.Allows(channel) {
		return nil
	}
	return &DeniedError{Channel: channel, why: p.fault}
}

// DeniedError says that a token does not allow a channel.
type DeniedError struct {
	Channel string
	why     string
}

func (e *DeniedError) Error() string {
	switch {
	case e.why != "":
		return `channel "` + e.Channel + `" is not allowed: ` + e.why
	default:
		return `channel "` + e.Channel + `" is not allowed by the token`
	}
}

// match looks for the pieces between the stars from left to right, each as early as it comes. Nothing is tried twice,
// so the time is that of reading pattern and channel once.
func match(pattern, channel string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == channel && pattern != ""
	}
	channel, ok := strings.CutPrefix(channel, head)
	if !ok {
		return false
	}
	for {
		piece, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(channel, piece)
		}
		at := strings.Index(channel, piece)
		if at < 0 {
			return false
		}
		channel, rest = channel[at+len(piece):], after
	}
}

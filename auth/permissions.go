package auth

import (
	"slices"
	"strings"
)

// Verb is what a token may allow in a channel. The zero value is none, and no token allows it.
type Verb uint8

// The verbs.
const (
	ToJoin    Verb = iota + 1 // to subscribe
	ToTrack                   // to be present
	ToPublish                 // to broadcast
	ToWatch                   // to see who is there
	verbs
)

var verbNames = [verbs]string{ToJoin: "join", ToTrack: "track", ToPublish: "publish", ToWatch: "watch"}

// String is the verb's name in the claim.
func (v Verb) String() string {
	if v < verbs {
		return verbNames[v]
	}
	return ""
}

// VerbOf finds a verb by its name; false: there is none.
func VerbOf(name string) (Verb, bool) {
	for v := ToJoin; v < verbs; v++ {
		if verbNames[v] == name {
			return v, true
		}
	}
	return 0, false
}

// AllChannels is what a token must allow for a broadcast to every connection: only patterns of stars match it.
const AllChannels = "*"

// Permissions are the channels that a token allows, by verb: its claim "channels". It is an array of patterns for all
// verbs, or an object with an array for each verb, {"join":[…],"publish":[…]}; a verb that it leaves out is allowed
// nowhere. They count on routes with permissions = "claims". The zero value allows nothing.
//
// In a pattern "*" stands for any text, also for none and across ":" and "/"; it may stand anywhere and more than once.
// Every other character stands for itself, in the same case; nothing escapes a "*". So "*" allows every channel,
// "room:*" those that begin with "room:", "user:42" that one alone, "room:*:chat" also "room:a:b:chat"; "" allows none.
//
// Permissions do not change and may be used from many goroutines.
type Permissions struct {
	grants [verbs]*grant
}

// grant is what a token says of one verb.
type grant struct {
	patterns []string
	fault    string // why it allows nothing
}

// everywhere makes permissions of one grant for all verbs.
func everywhere(g grant) (p Permissions) {
	for v := ToJoin; v < verbs; v++ {
		p.grants[v] = &g
	}
	return p
}

var noToken = everywhere(grant{fault: "there is no token"})

// newPermissions reads the claim; raw is nil when the token has none. A claim of another shape allows nothing: some
// issuers use the name for other things, and such tokens are good where the claim does not count. Verbs that nobody
// knows are of no harm: what is not named is not allowed.
func newPermissions(raw []byte) Permissions {
	if raw == nil {
		return everywhere(grant{fault: "the token has no claim channels"})
	}
	if patterns, ok := stringsOf(raw); ok {
		return everywhere(grant{patterns: patterns})
	}
	byVerb, err := decodeObject(raw)
	if err != nil {
		return everywhere(grant{fault: "the token's claim channels is no array of strings, nor an object of such"})
	}
	var p Permissions
	for v := ToJoin; v < verbs; v++ {
		g := &grant{}
		var ok bool
		if list := byVerb.get(v.String()); list == nil {
			g.fault = "the token's claim channels has no " + v.String()
		} else if g.patterns, ok = stringsOf(list); !ok {
			g.fault = "the token's claim channels." + v.String() + " is no array of strings"
		}
		p.grants[v] = g
	}
	return p
}

// Allows tells whether the token allows something in a channel. Every permission is decided here.
func (p Permissions) Allows(v Verb, channel string) bool {
	if v >= verbs || p.grants[v] == nil {
		return false
	}
	return slices.ContainsFunc(p.grants[v].patterns, func(pattern string) bool { return match(pattern, channel) })
}

// Check is Allows with an error, a *DeniedError, for the client and the handler's author.
func (p Permissions) Check(v Verb, channel string) error {
	if p.Allows(v, channel) {
		return nil
	}
	text := `channel "` + channel + `" is not allowed`
	if v < verbs && p.grants[v] != nil && p.grants[v].fault != "" {
		return &DeniedError{Text: text + ": " + p.grants[v].fault}
	}
	return &DeniedError{Text: text + " by the token"}
}

// DeniedError says that a client may not do what its handler does for it, with a text for both.
type DeniedError struct {
	Text      string
	Anonymous bool // a token is missing; with one it might be allowed
}

func (e *DeniedError) Error() string { return e.Text }

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

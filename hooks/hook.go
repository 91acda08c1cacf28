package hooks

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Bounds of SPEC 10.
const (
	MaxHooks     = 32        // of an app
	MaxPatterns  = 64        // of channels of a hook
	MaxSettle    = time.Hour // a change that is undone within it is not told
	MaxEvents    = 100       // of a request
	MaxRequest   = 256 << 10 // bytes of a request
	MaxSecrets   = 2         // during a change of them
	secretPrefix = "whsec_"  // of a secret in base64 (Standard Webhooks)
	minSecret    = 16        // bytes of a secret
)

// Kind is what an event tells.
type Kind string

// The events that a hook may ask for.
const (
	Join     Kind = "join"     // a user's first connection came
	Leave    Kind = "leave"    // the last one went
	Update   Kind = "update"   // another device in or out, or new metadata
	Occupied Kind = "occupied" // somebody came into an empty channel
	Vacated  Kind = "vacated"  // the last user of a channel left
)

// The events of a synchronisation, which each hook gets.
const (
	reset    Kind = "reset" // all channels are empty, but for those that are told by sync
	syncUser Kind = "sync"  // who is in a channel
)

// Kinds lists the events that a hook may ask for.
func Kinds() []Kind { return []Kind{Join, Leave, Update, Occupied, Vacated} }

// Hook is one hook of config/hooks.lua: what is to be told to whom. It never changes.
type Hook struct {
	Name     string
	Channels []string // names, or prefixes and a *
	URL      string   // of an HTTP sink; "": Stream
	Secrets  []string // that its requests are signed with, as they were given
	Stream   string   // of a sink in Redis
	Events   []Kind
	Settle   time.Duration
}

// CheckName says why a hook or a stream may not have a name, or nil.
func CheckName(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
	if name == "" || len(name) > 64 || strings.Trim(name, letters) != "" {
		return errors.New("must be 1 to 64 letters, digits, dots, _ and -")
	}
	return nil
}

// CheckURL says why a URL is no sink, or nil.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("is not valid")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return errors.New("must begin with https:// (or http://) and name a host")
	case u.User != nil:
		return errors.New("must not hold a user name or password: the receiver knows us by the signature")
	case u.Fragment != "":
		return errors.New("must not have a fragment")
	}
	return nil
}

// Key gives the bytes that a secret stands for: of whsec_… what is behind it in base64, else the text as it is.
func Key(secret string) ([]byte, error) {
	key := []byte(secret)
	if text, ok := strings.CutPrefix(secret, secretPrefix); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, fmt.Errorf("what is behind %s must be base64", secretPrefix)
		}
	}
	if len(key) < minSecret {
		return nil, fmt.Errorf("has %d bytes, and needs %d at least", len(key), minSecret)
	}
	return key, nil
}

// Matches tells whether a hook is told of a channel. A * does not stand for names that begin with @, which are users'
// (SPEC 9); @* does.
func (h *Hook) Matches(channel string) bool {
	return slices.ContainsFunc(h.Channels, func(pattern string) bool {
		prefix, isPrefix := strings.CutSuffix(pattern, "*")
		switch {
		case !isPrefix:
			return pattern == channel
		case prefix == "" && strings.HasPrefix(channel, "@"):
			return false
		}
		return strings.HasPrefix(channel, prefix)
	})
}

func (h *Hook) wants(k Kind) bool { return slices.Contains(h.Events, k) }

// definition is a digest of what a sink is told, but for the secrets. When it changes, the hook begins anew.
func (h *Hook) definition() string {
	kinds := slices.Clone(h.Events)
	slices.Sort(kinds)
	channels := slices.Clone(h.Channels)
	slices.Sort(channels)
	text, err := json.Marshal([]any{channels, h.URL, h.Stream, kinds, h.Settle})
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}

package history

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/naming"
)

// Bounds of SPEC 7.
const (
	MaxSize  = 1000
	MinTTL   = time.Second
	MaxTTL   = 7 * 24 * time.Hour
	MaxBytes = 1 << 20 // of one channel's messages; the newest is kept whatever its size
)

// Policy is what is kept of a channel: the last Size messages, each for TTL.
type Policy struct {
	Size int
	TTL  time.Duration
}

// Check says what is wrong with a policy, or nil.
func (p Policy) Check() error {
	switch {
	case p.Size < 1 || p.Size > MaxSize:
		return fmt.Errorf("size must be from 1 to %d", MaxSize)
	case p.TTL < MinTTL || p.TTL > MaxTTL:
		return fmt.Errorf("ttl must be from %d to %d seconds", MinTTL/time.Second, MaxTTL/time.Second)
	}
	return nil
}

// Rule gives the channels of a pattern a policy. A pattern is a name, or a prefix and `*`.
type Rule struct {
	Pattern string
	Policy
}

// CheckPattern says why a pattern fits no channel, or nil.
func CheckPattern(pattern string) error {
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	switch {
	case strings.Contains(prefix, "*"):
		return errors.New("a * stands at the end alone")
	case !naming.Valid(pattern), isPrefix && prefix != "" && !naming.Valid(prefix):
		return errors.New("a pattern is a channel's name, or what names begin with and a *")
	}
	return nil
}

// Rules are the rules of an app. They do not change. nil: no channel has a history.
type Rules struct {
	names    map[string]Policy
	prefixes []Rule // the longest first, without the *
}

// NewRules makes rules, of which each has another pattern.
func NewRules(rules []Rule) *Rules {
	if len(rules) == 0 {
		return nil
	}
	r := &Rules{names: map[string]Policy{}}
	for _, rule := range rules {
		if prefix, ok := strings.CutSuffix(rule.Pattern, "*"); ok {
			r.prefixes = append(r.prefixes, Rule{prefix, rule.Policy})
		} else {
			r.names[rule.Pattern] = rule.Policy
		}
	}
	slices.SortFunc(r.prefixes, func(a, b Rule) int { return cmp.Compare(len(b.Pattern), len(a.Pattern)) })
	return r
}

// For gives the policy of a channel: that of the longest pattern that fits it.
func (r *Rules) For(channel string) (p Policy, ok bool) {
	if r == nil {
		return Policy{}, false
	}
	if p, ok = r.names[channel]; ok {
		return p, true
	}
	for _, rule := range r.prefixes {
		if strings.HasPrefix(channel, rule.Pattern) {
			return rule.Policy, true
		}
	}
	return Policy{}, false
}

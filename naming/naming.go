// Package naming has the rule for the names that apps give: ids of users, and channels. It runs no goroutines and keeps
// nothing.
package naming

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxBytes is the length of the longest name.
const MaxBytes = 255

// ErrUserID is for the author of a handler.
var ErrUserID = fmt.Errorf("user_id must be 1 to %d bytes of UTF-8 without control characters", MaxBytes)

// Valid tells whether a user or channel may have a name (SPEC 1 and 6): 1 to 255 bytes of UTF-8 without control
// characters.
func Valid(name string) bool {
	control := func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }
	return name != "" && len(name) <= MaxBytes && utf8.ValidString(name) && strings.IndexFunc(name, control) < 0
}

// CheckUserID says why an id is not allowed, or nil.
func CheckUserID(id string) error {
	if !Valid(id) {
		return ErrUserID
	}
	return nil
}

// Channels of users (SPEC 9): their names begin with "@".
const userPrefix = "@"

// ErrIdentity is for the author of a handler.
var ErrIdentity = fmt.Errorf("to identify, user_id must be 1 to %d bytes of UTF-8 without control characters",
	MaxBytes-len(userPrefix))

// UserChannel is the channel of a user; ErrIdentity: the id cannot have one.
func UserChannel(id string) (channel string, err error) {
	if channel = userPrefix + id; id == "" || !Valid(channel) {
		return "", ErrIdentity
	}
	return channel, nil
}

// IsUserChannel tells whether a channel is a user's.
func IsUserChannel(channel string) bool { return strings.HasPrefix(channel, userPrefix) }

// NumericUserID writes a number as a user id: "whole and between -2^53 and 2^53" (SPEC 6). 2^53 itself may be what
// 2^53 + 1 became.
func NumericUserID(n float64) (id string, ok bool) {
	if n != math.Trunc(n) || math.Abs(n) >= 1<<53 {
		return "", false
	}
	return strconv.FormatInt(int64(n), 10), true
}

package redisconn

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script that runs inside Redis. It is sent as EVALSHA; when Redis does not know it (first use,
// restart, SCRIPT FLUSH), the client sends it as EVAL, in the same way alone, in a pipeline and in a Cluster. A script
// is immutable and may be used by any number of clients.
type Script struct {
	source string
	sha    []byte
	flags  *Script // the same with a line of flags before it; nil: it has none
}

// NewScript returns the script with this source.
func NewScript(source string) *Script {
	sum := sha1.Sum([]byte(source))
	return &Script{source: source, sha: hex.AppendEncode(nil, sum[:])}
}

// AllowOOM returns the script as one that Redis also runs when it has reached its maxmemory: for those that take little
// and whose refusal would cost a lease, or keep who has left. Redis knows such flags from version 7.0 on.
func (s *Script) AllowOOM() *Script {
	with := *s
	with.flags = NewScript("#!lua flags=allow-oom\n" + s.source)
	return &with
}

// Command returns the script's call with these keys and arguments, for [Client.Batch] and
// [Client.Submit]. The keys must lie in one Cluster slot; at least one key is needed in a Cluster.
func (s *Script) Command(ctx context.Context, keys []string, args ...any) *redis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, "evalsha", s, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	return redis.NewCmd(ctx, append(all, args...)...)
}

// MarshalBinary makes the script its own SHA argument: so the source is at hand
// when Redis does not know it. Called by go-redis while it writes the command.
func (s *Script) MarshalBinary() ([]byte, error) { return s.sha, nil }

// String is the script's SHA1 in hex, as Redis names it.
func (s *Script) String() string { return string(s.sha) }

// scriptOf is the script that a command runs; nil: it runs none of ours.
func scriptOf(cmd redis.Cmder) *Script {
	args := cmd.Args()
	if len(args) < 3 {
		return nil
	}
	s, _ := args[1].(*Script)
	return s
}

// withFlags makes calls of scripts those of their form with flags.
func withFlags(cmds []redis.Cmder) {
	for _, cmd := range cmds {
		if s := scriptOf(cmd); s != nil && s.flags != nil {
			cmd.Args()[1] = s.flags
		}
	}
}

// withSource returns the EVAL form of a command that Redis answered with NOSCRIPT, else nil.
func withSource(ctx context.Context, cmd redis.Cmder) *redis.Cmd {
	s := scriptOf(cmd)
	if s == nil || !redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return nil
	}
	args := cmd.Args()
	eval := make([]any, len(args))
	copy(eval, args)
	eval[0], eval[1] = "eval", s.source
	return redis.NewCmd(ctx, eval...)
}

// withoutFlags returns the EVAL form, without flags, of an EVAL whose source Redis could not read, since it is older
// than the flags; else nil. It has not run then.
func withoutFlags(ctx context.Context, eval redis.Cmder) *redis.Cmd {
	if !redis.HasErrorPrefix(eval.Err(), "Error compiling script") &&
		!redis.HasErrorPrefix(eval.Err(), "Unexpected flag in script shebang") {
		return nil
	}
	source, _ := eval.Args()[1].(string)
	_, plain, ok := strings.Cut(source, "\n")
	if !ok || !strings.HasPrefix(source, "#!") {
		return nil
	}
	args := append([]any(nil), eval.Args()...)
	args[1] = plain
	return redis.NewCmd(ctx, args...)
}

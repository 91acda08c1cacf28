package broker

import (
	"context"
	"crypto/sha1"
	"encoding/hex"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script that runs inside Redis. It is sent as EVALSHA; when Redis does not know it (first use, restart,
// SCRIPT FLUSH), the broker sends it as EVAL, in the same way alone, in a pipeline
// and in a Cluster. A script is immutable and may be used by any number of brokers.
type Script struct {
	source string
	sha    []byte
}

// NewScript returns the script with this source.
func NewScript(source string) *Script {
	sum := sha1.Sum([]byte(source))
	return &Script{source: source, sha: hex.AppendEncode(nil, sum[:])}
}

// Command returns the script's call with these keys and arguments, for [Broker.Batch] and
// [Broker.Submit]. The keys must lie in one Cluster slot; at least one key is needed in a Cluster.
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

// withSource returns the EVAL form of a command that Redis answered with NOSCRIPT, else nil.
func withSource(ctx context.Context, cmd redis.Cmder) *redis.Cmd {
	if !redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return nil
	}
	args := cmd.Args()
	if len(args) < 3 {
		return nil
	}
	s, ok := args[1].(*Script)
	if !ok {
		return nil
	}
	eval := make([]any, len(args))
	copy(eval, args)
	eval[0], eval[1] = "eval", s.source
	return redis.NewCmd(ctx, eval...)
}

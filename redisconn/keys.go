package redisconn

import (
	"strconv"
	"strings"
)

// Keys makes every name that Rollcall uses in Redis: keys and topics.
// No other file of the project spells one.
//
// {C} is the channel as Redis hash tag: all keys of one channel, and its topic, live in one
// Cluster slot, so that one script may touch them. Braces and percent signs
// of a channel name are escaped (%7B, %7D, %25), so a name can never move the tag.
type Keys struct {
	prefix  string
	topics  string // what topics begin with
	sharded bool   // topics travel by sharded pub/sub
}

// NewKeys returns the names that begin with prefix and a colon. Redis parts keys by databases, but not
// topics, so the topics of other databases than 0 have its number in their names.
func NewKeys(prefix string, database int) Keys {
	k := Keys{prefix: prefix + ":", topics: prefix + ":"}
	if database != 0 {
		k.topics += "db" + strconv.Itoa(database) + ":"
	}
	return k
}

// Nodes is a zset: incarnation → lease deadline, in ms of the Redis clock.
func (k Keys) Nodes() string { return k.prefix + "{nodes}" }

// Reaping is a zset: incarnations declared dead whose entries are not all removed yet.
func (k Keys) Reaping() string { return k.prefix + "{nodes}:reaping" }

// Node is a hash: address, version, process id, start, connections, load of one incarnation.
func (k Keys) Node(inc string) string { return k.prefix + "{nodes}:" + inc }

// NodeChannels is a set: the channels where the incarnation has presence.
func (k Keys) NodeChannels(inc string) string { return k.prefix + "{nodes}:" + inc + ":channels" }

// Claim is the short-lived key that spares reapers double work on one incarnation.
func (k Keys) Claim(inc string) string { return k.prefix + "{nodes}:" + inc + ":claim" }

// JobClaim is when a period of a job was last claimed by a node, in ms of the Redis clock. It lies beside the leases.
func (k Keys) JobClaim(app, job string) string {
	return k.prefix + "{nodes}:job:" + appEscaper.Replace(app) + ":" + job
}

// Head is a hash: epoch and seq of the channel's presence.
func (k Keys) Head(channel string) string { return k.prefix + "p:{" + escape(channel) + "}" }

// Users is a zset, all scores 0: the user ids present in the channel.
func (k Keys) Users(channel string) string { return k.Head(channel) + ":users" }

// User is a hash: connection id → meta of one user in the channel, and the seq of the last change.
func (k Keys) User(channel, userID string) string { return k.Head(channel) + ":u:" + userID }

// UserPrefix is what all of the channel's User keys begin with; for scripts that make them.
func (k Keys) UserPrefix(channel string) string { return k.Head(channel) + ":u:" }

// Entries is a zset, all scores 0: the incarnation's entries in the channel.
func (k Keys) Entries(channel, inc string) string { return k.Head(channel) + ":n:" + inc }

// History is a stream: the channel's last messages, each under its position.
func (k Keys) History(channel string) string { return k.prefix + "h:{" + escape(channel) + "}" }

// HistoryHead is where a channel with history stands: its last position.
func (k Keys) HistoryHead(channel string) string { return k.prefix + "hm:{" + escape(channel) + "}" }

// Hook is a hash: how a hook is. All keys of the hook begin with it and lie in its slot.
func (k Keys) Hook(name string) string { return k.prefix + "{w:" + name + "}" }

// HookTopic wakes the nodes that may have work for a hook.
func (k Keys) HookTopic(name string) string { return k.topics + "{w:" + name + "}:wake" }

// Hooks is a hash: the name of each hook → when a node last had it, in ms of the Redis clock.
func (k Keys) Hooks() string { return k.prefix + "hooks" }

// Stream is a Redis stream to which a hook appends its events, for consumers outside.
func (k Keys) Stream(name string) string { return k.prefix + "stream:" + name }

// StreamMarks is a hash: part of a hook → the id of its last request in the stream. It lies in the stream's slot.
func (k Keys) StreamMarks(name string) string {
	return k.prefix + "stream-marks:{" + k.Stream(name) + "}"
}

// Topic carries everything about one channel, broadcasts and presence changes, in one order.
func (k Keys) Topic(channel string) string { return k.topics + "t:{" + escape(channel) + "}" }

// NodeTopic carries calls and answers to one node process.
func (k Keys) NodeTopic(process string) string { return k.topics + "t:node:" + process }

// AllTopic carries cluster-wide broadcasts and changes of the script registry.
func (k Keys) AllTopic() string { return k.topics + "t:all" }

// EchoTopic carries the echo by which one pub/sub connection proves that it hears.
func (k Keys) EchoTopic(id string) string { return k.topics + "w:" + id }

// EchoTopicBeside is an echo topic in the Cluster slot of topic.
func (k Keys) EchoTopicBeside(topic, id string) string {
	return k.topics + "w:{" + hashTag(topic) + "}:" + id
}

// PublishCommand names the Redis command that publishes on a topic, PUBLISH or SPUBLISH; for scripts, which
// publish within the slot of their keys. In a Cluster with sharded pub/sub only AllTopic is plain: scripts
// publish on it from another slot.
func (k Keys) PublishCommand(topic string) string {
	if k.Sharded(topic) {
		return "SPUBLISH"
	}
	return "PUBLISH"
}

// Sharded reports whether topic travels by sharded pub/sub.
func (k Keys) Sharded(topic string) bool { return k.sharded && topic != k.AllTopic() }

// Scripts is a hash: the registered scripts.
func (k Keys) Scripts() string { return k.prefix + "scripts" }

// Once is where a call to the HTTP API with an idempotency key is remembered.
func (k Keys) Once(digest string) string { return k.prefix + "once:" + digest }

// OnceMark tells that the messages which such a call has for one topic are published. It lies in the topic's slot.
func (k Keys) OnceMark(topic, digest string) string {
	tag := topic
	if _, rest, ok := strings.Cut(topic, "{"); ok {
		tag, _, _ = strings.Cut(rest, "}")
	}
	return k.prefix + "once:{" + tag + "}:" + digest
}

// Store is a key of an app's shared state. The app's name is escaped, the key stays as it is.
func (k Keys) Store(app, key string) string {
	return k.prefix + "store:" + appEscaper.Replace(app) + ":" + key
}

// StoreCount is where one part of the count of an app's store is kept: sizes, ttls, sum or claim.
func (k Keys) StoreCount(app, part string) string {
	return k.prefix + "store-" + part + ":" + appEscaper.Replace(app)
}

// ChannelOf returns the channel that a name made by Topic or by Head, Users,
// User, UserPrefix or Entries belongs to; false for every other name.
func (k Keys) ChannelOf(name string) (channel string, ok bool) {
	tag, isTopic := strings.CutPrefix(name, k.topics+"t:{")
	if !isTopic {
		if tag, ok = strings.CutPrefix(name, k.prefix+"p:{"); !ok {
			return "", false
		}
	}
	tag, tail, ok := strings.Cut(tag, "}")
	if !ok || isTopic && tail != "" {
		return "", false
	}
	return unescape(tag), true
}

var (
	tagEscaper   = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D")
	tagUnescaper = strings.NewReplacer("%25", "%", "%7B", "{", "%7D", "}")
	appEscaper   = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D", ":", "%3A")
)

func escape(channel string) string {
	if !strings.ContainsAny(channel, "%{}") {
		return channel
	}
	return tagEscaper.Replace(channel)
}

func unescape(tag string) string {
	if !strings.Contains(tag, "%") {
		return tag
	}
	return tagUnescaper.Replace(tag)
}

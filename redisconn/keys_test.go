package redisconn_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/redisconn"
	"rollcall/testkit/redistest"
)

// DESIGN 2, the table of names.
func TestKeys(t *testing.T) {
	k := redisconn.NewKeys("rollcall", 0)
	for got, want := range map[string]string{
		k.Nodes():                "rollcall:{nodes}",
		k.Reaping():              "rollcall:{nodes}:reaping",
		k.Node("i1"):             "rollcall:{nodes}:i1",
		k.NodeChannels("i1"):     "rollcall:{nodes}:i1:channels",
		k.Claim("i1"):            "rollcall:{nodes}:i1:claim",
		k.JobClaim("a:b", "x:y"): "rollcall:{nodes}:job:a%3Ab:x:y",
		k.Head("room"):           "rollcall:p:{room}",
		k.Users("room"):          "rollcall:p:{room}:users",
		k.User("room", "u}{"):    "rollcall:p:{room}:u:u}{",
		k.UserPrefix("room"):     "rollcall:p:{room}:u:",
		k.Entries("room", "i1"):  "rollcall:p:{room}:n:i1",
		k.History("a{b}"):        "rollcall:h:{a%7Bb%7D}",
		k.HistoryHead("a{b}"):    "rollcall:hm:{a%7Bb%7D}",
		k.Topic("room"):          "rollcall:t:{room}",
		k.Topic("a{b}%c"):        "rollcall:t:{a%7Bb%7D%25c}",
		k.NodeTopic("p1"):        "rollcall:t:node:p1",
		k.AllTopic():             "rollcall:t:all",
		k.Scripts():              "rollcall:scripts",
		k.Store("chat", "a:b"):   "rollcall:store:chat:a:b",
		k.Store("a:b", "c"):      "rollcall:store:a%3Ab:c",

		k.StoreCount("a:b", "sizes"): "rollcall:store-sizes:a%3Ab",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, name := range []string{"", "room", "rollcall:t:all", "rollcall:t:node:{x}", "rollcall:{nodes}",
		"rollcall:store:{x}:y", "other:t:{room}", "rollcall:t:{room}x", "rollcall:t:{room"} {
		if channel, ok := k.ChannelOf(name); ok {
			t.Errorf("%q counts as a name of channel %q", name, channel)
		}
	}
}

// DESIGN 3: "Braces in channel names are escaped in keys, so that a name can never move the hash tag."
func TestKeysOfAChannelShareASlot(t *testing.T) {
	channels := rapid.StringOfN(rapid.OneOf(rapid.SampledFrom([]rune("{}%:7BDx")), rapid.Rune()), 1, 40, 255)
	rapid.Check(t, func(t *rapid.T) {
		k := redisconn.NewKeys(rapid.StringMatching(`[a-z:]{1,8}`).Draw(t, "prefix"), 0)
		c, other := channels.Draw(t, "channel"), channels.Draw(t, "other channel")
		user := channels.Draw(t, "user")
		names := []string{k.Topic(c), k.Head(c), k.Users(c), k.User(c, user), k.Entries(c, "i1")}
		for _, name := range names {
			if redisconn.Slot(name) != redisconn.Slot(names[0]) {
				t.Fatalf("%q and %q are in different slots", name, names[0])
			}
			if back, ok := k.ChannelOf(name); !ok || back != c {
				t.Fatalf("%q belongs to %q, %v; want %q", name, back, ok, c)
			}
		}
		for _, name := range []string{k.History(c), k.HistoryHead(c)} {
			if redisconn.Slot(name) != redisconn.Slot(names[0]) {
				t.Fatalf("%q and %q are in different slots", name, names[0])
			}
		}
		if c != other && k.Topic(c) == k.Topic(other) {
			t.Fatalf("%q and %q have one topic", c, other)
		}
	})
}

func TestSlotIsRedissOwn(t *testing.T) {
	server := redistest.Cluster(t)
	for _, key := range []string{"", "a", "foo{bar}baz", "foo{}bar", "foo{{bar}}zap", "{a}{b}", "rollcall:t:{room}", "}{",
		"{x", strings.Repeat("long", 100)} {
		want, err := server.Nodes()[0].Client().ClusterKeySlot(t.Context(), key).Result()
		if err != nil || int64(redisconn.Slot(key)) != want {
			t.Errorf("slot of %q: %d, want %d (%v)", key, redisconn.Slot(key), want, err)
		}
	}
}

func TestKeysOfADatabase(t *testing.T) {
	k := redisconn.NewKeys("rollcall", 3)
	for got, want := range map[string]string{
		k.Topic("room"):      "rollcall:db3:t:{room}",
		k.AllTopic():         "rollcall:db3:t:all",
		k.NodeTopic("p1"):    "rollcall:db3:t:node:p1",
		k.Head("room"):       "rollcall:p:{room}",
		k.Store("chat", "a"): "rollcall:store:chat:a",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, name := range []string{k.Topic("a{b}"), k.Head("a{b}")} {
		if channel, ok := k.ChannelOf(name); !ok || channel != "a{b}" {
			t.Errorf("%q is of channel %q, %v", name, channel, ok)
		}
	}
}

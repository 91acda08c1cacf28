package history

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// w watches from node n1 and is there from the beginning; a and b are devices of the user u on n1 and n2.
const people = `
client w - plain n1
client a u plain n1
client b u plain n2
0 w opened
`

// SPEC 5.1, "each client is told every change once"; "one leave for each user who really went and none for those who
// stayed".
func TestTold(t *testing.T) {
	for name, tt := range map[string]struct{ story, want string }{
		"comes and goes": {`1 w all
			10 a opened
			11 a asked
			12 w join u a=on
			13 a all u:a=on
			13 a sure
			50 a ended left
			52 w leave u
			rest 1000`, ""},
		"a second device": {`1 w all
			10 a opened
			11 a asked
			12 w join u a=on
			13 a sure
			20 b opened
			21 b asked
			23 b sure
			50 a ended left
			90 b ended left
			92 w leave u
			rest 1000`, ""},
		"told gone though a device stayed": {`1 w all
			11 a asked
			12 w join u a=on
			13 a sure
			21 b asked
			23 b sure
			50 a ended left
			52 w leave u
			53 w join u b=on
			rest 1000`, "told gone"},
		"told gone out of the blue": {`1 w all
			11 a asked
			12 w join u a=on
			13 a sure
			52 w leave u
			53 w join u a=on
			rest 1000`, "told gone"},
		"reloads in a moment of absence": {`1 w all
			11 a asked
			12 w join u a=on
			13 a sure
			50 a ended left
			51 b asked
			52 w leave u
			53 w join u b=on
			54 b sure
			rest 1000`, ""},
		"reloads, and is told gone twice": {`1 w all
			11 a asked
			12 w join u a=on
			13 a sure
			50 a ended left
			51 b asked
			52 w leave u
			53 w join u b=on
			54 b sure
			55 w leave u
			56 w join u b=on
			rest 1000`, "told gone"},
		"the leave comes after the rest": {`1 w all
			11 a asked
			12 w join u a=on
			13 a sure
			50 a ended left
			rest 100
			120 w leave u
			rest 1000`, "told gone, view"},
		"a second join": {`1 w all
			11 a asked
			12 w join u a=on
			13 a sure
			21 b asked
			22 w join u a=on,b=on
			23 b sure
			rest 1000`, "once"},
		"a leave without a join": {`1 w all
			11 a asked
			13 a sure
			50 a ended left
			52 w leave u
			rest 1000`, "once"},
		"a leave told twice": {`1 w all u:a=on
			0 a asked
			1 a sure
			50 a ended left
			52 w leave u
			53 w leave u
			rest 1000`, "once, told gone"},
		"a device that was never shown itself may come and go": {`1 w all
			11 a asked
			30 w join u a=on
			40 a ended left
			42 w leave u
			rest 1000`, ""},
		"tracks and is never shown itself": {`1 w all
			5 a opened
			11 a asked
			12 w join u a=on
			rest 1000`, "once"},
		"told again": {`1 w all
			5 a opened
			11 a asked
			12 w join u a=on
			13 a sure
			500 w again u
			rest 1000`, "once"},
		"nonsense": {`1 w all
			2 w absurd an empty presence_diff
			rest 1000`, "once"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, people+tt.story, tt.want) })
	}
}

// SPEC 5.4: "nothing a dead or fenced node still had in flight can bring a user back".
func TestGhosts(t *testing.T) {
	for name, tt := range map[string]struct{ story, want string }{
		"back after a rest": {`1 w all
			11 a asked
			12 w join u a=on
			13 a sure
			50 a ended left
			52 w leave u
			rest 100
			200 w join u a=on
			210 w leave u
			rest 1000`, "ghost, told gone"},
		"back before a rest": {`1 w all
			11 a asked
			12 w join u a=on
			13 a sure
			50 a ended left
			52 w leave u
			53 w join u a=on
			54 w leave u
			rest 100`, "told gone"},
		"stays shown": {`1 w all
			11 a asked
			12 w join u a=on
			13 a sure
			50 a ended left
			rest 1000`, "view"},
		"in a list": {`1 w all
			11 a asked
			12 w join u a=on
			13 a sure
			50 a ended left
			52 w leave u
			rest 100
			200 w all u:a=on
			201 w all
			rest 1000`, "ghost"},
		"nobody ever asked": {`1 w all
			12 w join u a=on
			rest 1000`, "ghost, view"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, people+tt.story, tt.want) })
	}
}

// SPEC 5.1: "in one order that is the same for all of that channel"; 5.3: "at most once and in the same order".
func TestOrder(t *testing.T) {
	const crowd = `
client w - plain n1
client v - script n2
client a ua plain n1
client b ub plain n2
0 w opened
0 v opened
1 w all
1 v all
5 a opened
5 b opened
10 a asked
11 b asked
20 a sure
21 b sure
`
	for name, tt := range map[string]struct{ story, want string }{
		"the same": {`30 w join ua a=on
			31 w join ub b=on
			30 v join ua a
			31 v join ub b
			rest 1000`, ""},
		"the other way round": {`30 w join ua a=on
			31 w join ub b=on
			30 v join ub b
			31 v join ua a
			rest 1000`, "order"},
		"the other way round on a node that missed messages": {`fault redis-kill-pubsub 15 15
			30 w join ua a=on
			31 w join ub b=on
			30 v join ub b
			31 v join ua a
			rest 1000`, ""},
		"the other way round though a node was killed": {`fault node-kill 15 15 n3
			30 w join ua a=on
			31 w join ub b=on
			30 v join ub b
			31 v join ua a
			rest 1000`, "order"},
		"broadcasts": {`30 w join ua a=on
			30 v join ua a
			31 w join ub b=on
			31 v join ub b
			40 w heard a 1
			41 w heard b 1
			42 w heard a 3
			40 v heard a 1
			41 v heard a 2
			42 v heard b 1
			43 v heard a 3
			rest 1000`, ""},
		"a broadcast twice": {`30 w join ua a=on
			30 v join ua a
			31 w join ub b=on
			31 v join ub b
			40 w heard a 1
			41 w heard a 1
			rest 1000`, "broadcast"},
		"one sender's broadcasts swapped": {`30 w join ua a=on
			30 v join ua a
			31 w join ub b=on
			31 v join ub b
			40 w heard a 2
			41 w heard a 1
			rest 1000`, "broadcast"},
		"one that raised arrives late, at all alike": {`fault node-late 22 35 n1
			30 w join ua a=on
			30 v join ua a
			31 w join ub b=on
			31 v join ub b
			40 w heard a 2
			41 w heard a 1
			40 v heard a 2
			41 v heard a 1
			rest 1000`, ""},
		"one that raised arrives late, not at all alike": {`fault node-late 22 35 n1
			30 w join ua a=on
			30 v join ua a
			31 w join ub b=on
			31 v join ub b
			40 w heard a 2
			41 w heard a 1
			40 v heard a 1
			41 v heard a 2
			rest 1000`, "broadcast"},
		"two senders' broadcasts in different orders": {`30 w join ua a=on
			30 v join ua a
			31 w join ub b=on
			31 v join ub b
			40 w heard a 1
			41 w heard b 1
			40 v heard b 1
			41 v heard a 1
			rest 1000`, "broadcast"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, crowd+tt.story, tt.want) })
	}
}

// SPEC 5.1: "each live node's view equals what the connected clients tracked"; SPEC 1.2: on a "devices" route the metas
// too.
func TestViews(t *testing.T) {
	for name, tt := range map[string]struct{ route, story, want string }{
		"metas of a plain client may lag":              {"plain", "all u:a=on", ""},
		"metas of a devices client may not":            {"devices", "all u:a=on", "view"},
		"metas of a client of Phoenix may not":         {"phoenix", "all u:a=on", "view"},
		"metas of a list may not":                      {"list", "all u:a=on", "view"},
		"all right":                                    {"devices", "all u:a=on,b=busy", ""},
		"an older state":                               {"list", "all u:a=on,b=on", "view"},
		"an extra user":                                {"plain", "all u:a=on,b=busy x:c=on", "ghost, view"},
		"an extra user in a list":                      {"list", "all u:a=on,b=busy x:c=on", "view"},
		"a missing user":                               {"plain", "all", "view"},
		"a client that was not shown all is not asked": {"plain", "join u a=on", ""},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, fmt.Sprintf(`
client a u plain n1
client b u plain n2
client v - %s n2
0 v opened
5 a opened
5 b opened
10 a asked
20 a sure
10 b asked
20 b sure
22 b state busy
30 v %s
rest 1000`, tt.route, tt.story), tt.want)
		})
	}
}

// A script's first event of a user after a list may be any; then they alternate.
func TestScriptViews(t *testing.T) {
	for name, tt := range map[string]struct{ story, want string }{
		"a join from before the list": {`30 v all u:a=on
			31 v join u a
			rest 1000`, ""},
		"twice": {`30 v all u:a=on
			31 v join u a
			32 v join u a
			rest 1000`, "once"},
		"its own user is not told": {`client s u script n2
			5 s opened
			6 s asked
			25 s sure
			30 s all u:a=on,s=on
			31 s leave u
			32 s join u
			30 v all u:a=on,s=on
			rest 1000`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, `
client a u plain n1
client v - script n2
0 v opened
5 a opened
10 a asked
20 a sure
`+tt.story, tt.want)
		})
	}
}

// The times of a verdict are those that docs/guarantees.md shows.
func TestMeasures(t *testing.T) {
	v := Check(record(t, people+`1 w all
		11 b asked
		12 w join u b=on
		13 b sure
		rest 100
		fault node-kill 1000 1000 n2
		1001 b ended dropped
		3900 w leave u
		rest 4000`))
	want := []Measure{{Faults: []string{"calm"}, There: time.Millisecond},
		{Faults: []string{"node-kill"}, Killed: 2899 * time.Millisecond}}
	if got := fmt.Sprint(v.Measures); got != fmt.Sprint(want) {
		t.Errorf("measures %s, want %v", got, want)
	}
	// A list is asked only when the clients rest: before its first answer it is not known to be wrong.
	v = Check(record(t, people+`client l - list n1
		0 l opened
		1 w all
		1 l all
		rest 5
		11 b asked
		12 w join u b=on
		13 b sure
		2000 l all u:b=on
		rest 2100
		2200 b ended left
		2201 w leave u
		2210 l all u:b=on
		2300 l all
		rest 2400`))
	want = []Measure{{Faults: []string{"calm"}}, {Faults: []string{"calm"}, There: time.Millisecond},
		{Faults: []string{"calm"}, Gone: 100 * time.Millisecond}}
	if got := fmt.Sprint(v.Measures); got != fmt.Sprint(want) {
		t.Errorf("measures %s, want %v", got, want)
	}
}

// A story holds what the user's devices did and what the client was told, and the fault.
func TestStory(t *testing.T) {
	v := Check(record(t, people+`1 w all
		11 b asked
		12 w join u b=on
		13 b sure
		fault redis-flush 1000 1000
		1100 w leave u
		1200 w join u b=on
		rest 5200`))
	if len(v.Violations) != 1 {
		t.Fatal(v.Violations)
	}
	story := v.Violations[0].String()
	for _, part := range []string{"b of u (plain on n2) tracks", "FAULT redis-flush", "w is told: join u",
		"w is told: leave u"} {
		if !strings.Contains(story, part) {
			t.Errorf("the story lacks %q:\n%s", part, story)
		}
	}
}

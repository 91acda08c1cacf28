package history

import "testing"

// SPEC 9: "`last_seen` after a node's death is the time of its last heartbeat at the earliest, its lease's end at the
// latest"; else it is when the last connection left, "lost with Redis".
func TestSeen(t *testing.T) {
	const left = `4001 a asked
		4010 a sure
		5000 a ended left
		rest 9000
		`
	const killed = `4001 a asked
		4010 a sure
		fault node-kill 6000 6000 n1 n2
		6001 a ended dropped
		rest 10500
		`
	for name, tt := range map[string]struct{ story, want string }{
		"left":                       {left + `seen 9000 u 5002`, ""},
		"left, not written":          {left + `seen 9000 u never`, "last_seen"},
		"left, what it was before":   {left + `seen 9000 u 3000`, "last_seen"},
		"left, too late":             {left + `seen 9000 u 7000`, "last_seen"},
		"online":                     {left + `seen 9000 u online`, ""},
		"killed, the last heartbeat": {killed + `seen 10500 u 5500`, ""},
		"killed, the lease's end":    {killed + `seen 10500 u 7500`, ""},
		"killed, not written":        {killed + `seen 10500 u never`, "last_seen"},
		"killed, as it was before":   {killed + `seen 10500 u 4000`, "last_seen"},
		"killed, in the future":      {killed + `seen 10500 u 11500`, "last_seen"},
		"left long ago, judged then": {left + `seen 9000 u 5002
			rest 20000
			seen 20000 u never`, ""},
		"left long ago, back after it was asked": {left + `seen 9000 u 5002
			rest 20000
			seen 20000 u 5002
			20001 b asked
			20010 b sure
			20500 b ended left
			rest 30000
			seen 30000 u 20501`, ""},
		"killed as soon as it had come: nobody knows whether it had": {`1001 a asked
			1010 a sure
			2000 a ended left
			5900 b asked
			5950 b sure
			fault node-kill 6000 6000 n1 n2
			6001 b ended dropped
			rest 10500
			seen 10500 u 2001`, ""},
		"Redis has lost it": {left + `fault redis-flush 5500 5500
			seen 9000 u never`, ""},
		"Redis has lost the lease": {killed + `fault redis-restart-empty 5500 5900
			seen 10500 u 10400`, ""},
		"Redis was lost before": {`fault redis-flush 2000 2000
			rest 3000
			` + left + `seen 9000 u never`, "last_seen"},
		"lost since, and back too short to be known": {left + `seen 9000 u 5002
			fault redis-flush 9500 9500
			rest 20000
			20900 b asked
			fault node-freeze-short 20000 21000 n1 n2
			21001 b ended left
			rest 22000
			seen 22000 u never`, ""},
		"late because the machine stood still": {left + `stall 5000 7000
			seen 9000 u 7400`, ""},
	} {
		t.Run(name, func(t *testing.T) { expect(t, "client a u plain n1\nclient b u plain n2\n"+tt.story, tt.want) })
	}
}

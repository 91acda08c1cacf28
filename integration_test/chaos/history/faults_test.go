package history

import (
	"testing"
	"time"
)

// SPEC 5.1 and 5.2: what each kind of fault leaves open, and what not.
func TestFaults(t *testing.T) {
	const there = `1 w all
		5 a opened
		5 b opened
		11 b asked
		12 w join u b=on
		13 b sure
		`
	for name, tt := range map[string]struct{ story, want string }{
		"killed, gone in time": {there + `fault node-kill 1000 1000 n2
			1001 b ended dropped
			3900 w leave u
			rest 4000`, ""},
		"killed, gone too late": {there + `fault node-kill 1000 1000 n2
			1001 b ended dropped
			5100 w leave u
			rest 5200`, "late"},
		"killed, late because the machine stood still": {there + `fault node-kill 1000 1000 n2
			1001 b ended dropped
			stall 2000 4000
			5100 w leave u
			rest 5200`, ""},
		"killed, reconnected elsewhere": {there + `fault node-kill 1000 1000 n2
			1001 b ended dropped
			1200 a asked
			1210 a sure
			rest 5200`, ""},
		"killed, reconnected elsewhere, told gone": {there + `fault node-kill 1000 1000 n2
			1001 b ended dropped
			1200 a asked
			1210 a sure
			3000 w leave u
			3001 w join u a=on
			rest 5200`, "told gone"},
		"sent away, back elsewhere": {there + `fault node-roll 1000 1600 n2
			1001 b ended closed 1012 bye
			2000 a asked
			2010 a sure
			rest 5200`, ""},
		"sent away, back elsewhere, told gone": {there + `fault node-roll 1000 1600 n2
			1001 b ended closed 1012 bye
			1900 w leave u
			2000 a asked
			2001 w join u a=on
			2010 a sure
			rest 5200`, "told gone"},
		"sent away, back too late": {there + `fault node-roll 1000 1600 n2
			1001 b ended closed 1012 bye
			3100 w leave u
			3200 a asked
			3201 w join u a=on
			3210 a sure
			rest 5200`, ""},
		"sent away, and kept too long": {there + `fault node-roll 1000 1600 n2
			1001 b ended closed 1012 bye
			6200 w leave u
			rest 6300`, "late"},
		"sent away, back and gone": {there + `fault node-roll 1000 1600 n2
			1001 b ended closed 1012 bye
			1200 a asked
			1210 a sure
			1500 a ended left
			1501 w leave u
			rest 5200`, ""},
		"sent away beside another device, which goes": {there + `fault node-roll 1000 1600 n2
			500 a asked
			510 a sure
			1001 b ended closed 1012 bye
			1500 a ended left
			1501 w leave u
			rest 5200`, ""},
		"sent away beside another device, which goes by itself while its node drains": {there + `fault node-roll 1000 1600 n2
			client c u plain n2
			5 c opened
			500 c asked
			510 c sure
			1100 b ended closed 1012 bye
			1300 c ended left
			1301 w leave u
			rest 5200`, ""},
		"sent away beside another device, which left while its node was frozen": {there + `fault node-freeze-short 900 1900 n1
			fault node-term 1000 1600 n2
			500 a asked
			510 a sure
			1000 a ended left
			1100 b ended closed 1012 bye
			1950 w leave u
			rest 5200`, ""},
		"Redis loses a leave, which shows when a node opens the room": {there + `fault redis-failover-lossy 1000 1600
			900 b ended left
			901 w leave u
			rest 2000
			client x - plain n3
			2100 x opened
			2101 x all u:b=on
			2500 x leave u
			rest 7000`, ""},
		"Redis loses a leave, and it shows for too long": {there + `fault redis-failover-lossy 1000 1600
			900 b ended left
			901 w leave u
			rest 2000
			client x - plain n3
			6100 x opened
			6101 x all u:b=on
			6500 x leave u
			rest 7000`, "ghost, late, told gone"},
		"sent away while Redis loses what was written": {there + `fault node-roll 1000 1600 n2
			fault redis-failover 1000 1100
			1001 b ended closed 1012 bye
			1500 w leave u
			2000 a asked
			2001 w join u a=on
			2010 a sure
			rest 5200`, ""},
		"frozen for longer than the lease": {there + `fault node-freeze-long 1000 5000 n2
			3500 w leave u
			5100 w join u b=on
			rest 5200`, ""},
		"frozen before it heard that a device left, which it brings back": {`1 w all
			5 a opened
			5 b opened
			10 a asked
			11 a sure
			12 w join u a=on
			20 b asked
			21 b sure
			22 w update u a=on b=on
			990 b ended left
			fault node-freeze-long 1000 5000 n2
			3500 w update u a=on
			4000 a ended left
			4001 w leave u
			5100 w join u b=on
			5110 w leave u
			rest 5200`, ""},
		"not frozen, and a device that left comes back": {`1 w all
			5 a opened
			5 b opened
			10 a asked
			11 a sure
			12 w join u a=on
			20 b asked
			21 b sure
			22 w update u a=on b=on
			990 b ended left
			995 w update u a=on
			4000 a ended left
			4001 w leave u
			5100 w join u b=on
			5110 w leave u
			rest 5200`, "told gone"},
		"away for a moment, when its second device went": {`1 w all
			5 a opened
			5 b opened
			10 b asked
			11 b sure
			12 w join u b=on
			20 a asked
			21 a sure
			fault node-freeze-long 1000 5000 n2
			4990 a ended left
			5100 w again u
			rest 5200`, ""},
		"frozen, and told gone twice": {there + `fault node-freeze-long 1000 5000 n2
			3500 w leave u
			5100 w join u b=on
			5110 w leave u
			5120 w join u b=on
			rest 5200`, "told gone"},
		"frozen before it was shown itself, closed meanwhile": {`1 w all
			5 a opened
			5 b opened
			990 b asked
			fault node-freeze-long 1000 5000 n2
			1010 w join u b=on
			3500 w leave u
			4000 b ended left
			5100 w join u b=on
			5110 w leave u
			rest 5200`, ""},
		"cut, which others hear before the client": {there + `fault client-cut 1000 1010 n2
			1005 w leave u
			1008 b ended dropped
			rest 5200`, ""},
		"connected right after a cut": {`1 w all
			5 a opened
			5 b opened
			fault client-cut 100 110 n2
			rest 200
			220 b asked
			222 w join u b=on
			225 b sure
			400 b ended left
			410 w leave u
			rest 1000`, ""},
		"told gone before it was cut": {there + `fault client-cut 1000 1010 n2
			995 w leave u
			1008 b ended dropped
			rest 5200`, "told gone"},
		"frozen for less than the lease": {there + `fault node-freeze-short 1000 2000 n2
			3500 w leave u
			3600 w join u b=on
			rest 5200`, "told gone"},
		"another node was frozen": {there + `fault node-freeze-long 1000 5000 n1
			3500 w leave u
			5100 w join u b=on
			rest 5200`, "told gone"},
		"frozen, with a device elsewhere": {there + `21 a asked
			22 a sure
			fault node-freeze-long 1000 5000 n2
			3500 w leave u
			5100 w join u a=on,b=on
			rest 5200`, "told gone"},
		"frozen, back too late": {there + `fault node-freeze-long 1000 5000 n2
			3500 w leave u
			9100 w join u b=on
			rest 9200`, "late"},
		"wiped": {there + `fault redis-flush 1000 1000
			rest 5200`, ""},
		"wiped, told gone": {there + `fault redis-flush 1000 1000
			1100 w leave u
			1200 w join u b=on
			rest 5200`, "told gone"},
		"wiped, one who really went is shown for a lease": {there + `900 b ended left
			fault redis-flush 1000 1000
			2600 w leave u
			rest 5200`, ""},
		"a script's own list says nothing while Redis is away": {there + `client s u script n1
			5 s opened
			fault redis-freeze 1000 2000
			1100 s asked
			1110 s sure
			1200 b ended left
			2100 w leave u
			2200 w join u s=on
			rest 5200`, ""},
		"a script's own list says all otherwise": {there + `client s u script n1
			5 s opened
			1100 s asked
			1110 s sure
			1200 b ended left
			2100 w leave u
			2200 w join u s=on
			rest 5200`, "told gone"},
		"a connection lost without a reason": {there + `1000 b ended closed 1011
			1001 w leave u
			rest 5200`, "cut off"},
		"a connection lost to a killed node": {there + `fault node-kill 1000 1000 n2
			1000 a ended dropped
			1001 b ended dropped
			3600 w leave u
			rest 5200`, "cut off"},
		"clients vanish": {there + `fault client-half-open 1000 1000 n2
			1000 b ended left
			3900 w leave u
			rest 5200`, ""},
		"clients vanish, the pings find out too late": {there + `fault client-half-open 1000 1000 n2
			1000 b ended left
			6100 w leave u
			rest 6200`, "late"},
		"others are killed beside them": {there + `fault node-kill 1000 1000 n3
			1000 b ended left
			1001 w leave u
			rest 6200`, ""},
		"never right again": {there + `fault redis-flush 1000 1000
			1100 w leave u
			rest 5200`, "told gone, view"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, people+tt.story, tt.want) })
	}
}

func TestForgotten(t *testing.T) {
	fault := func(name string, began, ended time.Duration) Fault {
		return Fault{Name: name, Began: began * time.Second, Ended: ended * time.Second}
	}
	for name, tt := range map[string]struct {
		faults []Fault
		want   bool
	}{
		"both":            {[]Fault{fault("redis-failover-lossy", 4, 5), fault("node-kill", 6, 6)}, true},
		"no node died":    {[]Fault{fault("redis-failover-lossy", 4, 5), fault("node-roll", 6, 6)}, false},
		"Redis kept all":  {[]Fault{fault("redis-freeze", 4, 5), fault("node-kill", 6, 6)}, false},
		"not between two": {[]Fault{fault("redis-failover", 1, 2), fault("node-kill", 6, 6)}, false},
	} {
		if got := Forgotten(tt.faults, 3*time.Second, 9*time.Second); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A killed node is there until its lease and the grace are over, counted from its last heartbeat. A fault that began
// before may have kept heartbeats from Redis.
func TestHeldAfter(t *testing.T) {
	const ms = time.Millisecond
	times := Times{Lease: 2 * time.Second, Grace: time.Second, Heartbeat: 500 * ms}
	killed := Fault{Name: "node-kill", Nodes: []string{"n2"}, Began: 1000 * ms, Ended: 1000 * ms}
	for name, tt := range map[string]struct {
		also Fault
		want time.Duration
	}{
		"nothing else":        {Fault{Name: "calm"}, 3000 * ms},
		"Redis stood still":   {Fault{Name: "redis-freeze", Began: 500 * ms, Ended: 1500 * ms}, 2500 * ms},
		"long before":         {Fault{Name: "redis-freeze", Began: -2000 * ms, Ended: -1000 * ms}, 3000 * ms},
		"only afterwards":     {Fault{Name: "redis-freeze", Began: 1100 * ms, Ended: 1500 * ms}, 3000 * ms},
		"of another node":     {Fault{Name: "node-cut", Nodes: []string{"n1"}, Began: 500 * ms, Ended: 1500 * ms}, 3000 * ms},
		"its own, it was cut": {Fault{Name: "node-cut", Nodes: []string{"n2"}, Began: 500 * ms, Ended: 1500 * ms}, 2500 * ms},
	} {
		r := &truth{rec: &Record{Times: times, Faults: []Fault{killed, tt.also}}}
		if got := r.heldAfter("n2", 10*ms, 1001*ms); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

package load

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"rollcall/testkit/nodetest"
)

// The guests of a soak: for all its length there are so many of each kind, new ones for those that were sent away.
const (
	soakRooms  = 100 // with soakOf members each, at a message a second
	soakOf     = 10
	soakHuge   = 2000 // members of one room with presence, at a message a second
	soakMute   = 40   // who are in a loud room and never read
	soakFlood  = 20   // who send as fast as they are let
	soakGuests = 30   // who come to that room and leave again each second
)

// sample is the resident memory of the nodes at a time of a soak.
type sample struct {
	at    time.Duration
	bytes int64
}

// soak runs slow consumers, floods, comings and goings in a huge room, and ordinary traffic for d, and watches the
// memory. On a machine that is too slow for it, it goes on until each third of its time has a sample.
func soak(s *stage, d time.Duration, size float64) (result, []sample) {
	s.t.Helper()
	some := func(n int) int { return max(int(float64(n)*size), 2) }
	in := func(route, channel string) func(i int) Target {
		return func(i int) Target {
			return Target{Addr: s.nodes[i%len(s.nodes)].Addr(), Path: fmt.Sprintf("/%s/%s?user=%s", route, channel, userName(i))}
		}
	}
	add := func(n int, target func(i int) Target) (members []int) {
		first := s.crowd.Len()
		s.check(s.crowd.Join(s.t.Context(), n, 32, target))
		for i := range n {
			members = append(members, first+i)
		}
		s.serve(0, ignore)
		return members
	}
	rooms := some(soakRooms)
	var talkers []int
	for r := range rooms {
		talkers = append(talkers, add(soakOf, in("plain", fmt.Sprint("r", r)))[0])
	}
	talkers = append(talkers, add(some(soakHuge), in("present", "huge"))[0])
	var mute, flood, guests []int
	flooding, loud := make([]byte, 64), `{"message":"`+strings.Repeat("x", 64<<10)+`"}`
	var samples []sample
	began := time.Now()
	mutes, floods := 0, 0
	for tick := 0; time.Since(began) < d || len(samples) < 3; tick++ {
		due := began.Add(time.Duration(tick) * time.Second)
		memory, err := memoryOf(s.pids()...)
		s.check(err)
		samples = append(samples, sample{time.Since(began), memory})
		for _, i := range guests {
			s.crowd.Leave(i)
		}
		guests = add(some(soakGuests), in("present", "huge"))
		if tick%30 == 0 { // by then a node has sent away who does not read
			for _, i := range mute {
				s.crowd.Leave(i)
			}
			mute = add(some(soakMute), in("plain", "loud"))
			for _, i := range mute {
				s.check(s.crowd.Ignore(i))
			}
			mutes += len(mute)
		}
		flood = slices.DeleteFunc(flood, s.crowd.Gone)
		if more := some(soakFlood) - len(flood); more > 0 {
			flood = append(flood, add(more, in("plain", "flood"))...)
			floods += more
		}
		for _, i := range talkers {
			s.check(s.crowd.Send(i, text(time.Now(), messageSize)))
		}
		for range 40 { // what fills the sockets of those who do not read
			status, answer, err := nodetest.Request(s.t.Context(), http.MethodPost, s.nodes[0].Addr(),
				"/_api/channels/loud/broadcast", loud,
				"Content-Type: application/json", "X-API-Key: "+apiKey)
			if status != http.StatusOK {
				s.t.Fatalf("broadcast: %d %s %v", status, answer, err)
			}
		}
		for range 20 {
			for _, i := range flood {
				for range 20 {
					if s.crowd.Gone(i) || s.crowd.Send(i, flooding) != nil {
						break // it has been sent away
					}
				}
			}
			s.serve(time.Until(due.Add(time.Second))/20, ignore)
		}
		s.serve(time.Until(due.Add(time.Second)), ignore)
	}
	return result{"MiB-middle": middle(samples, 1), "MiB-end": middle(samples, 2), "silent": float64(mutes),
		"silent-sent-away": s.closed("slow"),
		"flooders":         float64(floods), "flooders-sent-away": s.closed("message_rate")}, samples
}

// closed is how many connections the nodes have closed for a reason.
func (s *stage) closed(why string) (n float64) {
	s.t.Helper()
	for _, node := range s.nodes {
		n += nodetest.Metric(s.t, node, fmt.Sprintf("rollcall_connections_closed_total{why=%q}", why))
	}
	return n
}

// middle is the median of a third of the samples, in MiB.
func middle(samples []sample, third int) float64 {
	part := samples[len(samples)*third/3 : len(samples)*(third+1)/3]
	var mib []float64
	for _, p := range part {
		mib = append(mib, float64(p.bytes)/(1<<20))
	}
	slices.Sort(mib)
	return median(mib)
}

// plot draws samples as an SVG: memory in MiB over minutes.
func plot(samples []sample) string {
	const width, height, left, bottom = 720, 240, 50, 30
	var most int64
	for _, p := range samples {
		most = max(most, p.bytes)
	}
	top := float64(most>>20/50+1) * 50 // MiB
	total := samples[len(samples)-1].at
	x := func(at time.Duration) float64 { return left + float64(width-left-10)*float64(at)/float64(total) }
	y := func(mib float64) float64 { return 10 + float64(height-bottom-10)*(1-mib/top) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+
		"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	for i := range 6 {
		mib := top * float64(i) / 5
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.0f MiB</text>`+"\n",
			left, y(mib), width-10, left-5, y(mib)+4, mib)
	}
	step := max(time.Minute, (total / 10).Round(time.Minute))
	for at := time.Duration(0); at <= total; at += step {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f min</text>`+"\n", x(at), height-10, at.Minutes())
	}
	b.WriteString(`<path fill="none" stroke="#06c" stroke-width="1.5" d="M`)
	for i, p := range samples {
		if i > 0 {
			b.WriteString("L")
		}
		fmt.Fprintf(&b, "%.1f %.1f", x(p.at), y(float64(p.bytes)/(1<<20)))
	}
	b.WriteString("\"/>\n</svg>\n")
	return b.String()
}

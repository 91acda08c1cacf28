package outbox

import "rollcall/metrics"

// Measure tells metrics how many connections there are and were.
func (s *Sockets) Measure(to metrics.Scrape) {
	to.Gauge("rollcall_connections", "Open connections, of WebSockets and event streams.", float64(s.Len()))
	to.Counter("rollcall_connections_opened_total",
		"Connections that came in.", float64(s.Opened()))
	to.Counter("rollcall_frames_dropped_total",
		"Frames that waited for a client when it turned out too slow, or gone, and were never "+
			"written; pings and close frames do not count.", float64(s.stats.Dropped.Load()))
}

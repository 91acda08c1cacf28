package wsconn

import "rollcall/metrics"

// Measure tells metrics how many connections there are and were.
func (s *Server) Measure(to metrics.Scrape) {
	to.Gauge("rollcall_connections", "Open WebSocket connections.", float64(s.Len()))
	to.Counter("rollcall_connections_opened_total",
		"WebSocket upgrades that succeeded.", float64(s.Opened()))
	to.Counter("rollcall_frames_dropped_total",
		"Frames that waited for a client when it turned out too slow, or gone, and were never "+
			"written; pings and close frames do not count.", float64(s.stats.Dropped.Load()))
}

package sse

import "rollcall/metrics"

// Measure tells metrics how many event streams there are.
func (s *Server) Measure(to metrics.Scrape) {
	to.Gauge("rollcall_event_streams", "Open connections that are event streams.", float64(s.count.Load()))
}

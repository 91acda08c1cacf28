package hub

import "rollcall/metrics"

// Measure tells metrics of channels and broadcasts.
func (h *Hub) Measure(to metrics.Scrape) {
	to.Gauge("rollcall_channels", "Channels with a connection of this node in them.", float64(h.Load().Channels))
	to.Counter("rollcall_broadcasts_published_total",
		"Broadcasts that this node gave to Redis, or tried to.", float64(h.stats.Broadcasts.Load()))
	to.Counter("rollcall_broadcasts_received_total",
		"Broadcasts that this node got from Redis, once for each channel.", float64(h.stats.Fanouts.Load()))
	to.Counter("rollcall_deliveries_total",
		"Broadcasts handed to connections: one for each connection and broadcast.",
		float64(h.stats.Delivered.Load()))
	to.Gauge("rollcall_history_memory_bytes", "Messages of channels with history that this node keeps.",
		float64(h.rings.total()))
	to.Counter("rollcall_history_reads_total",
		"Reads of histories in Redis, for connections that came in or missed messages.", float64(h.stats.Reads.Load()))
	to.Counter("rollcall_history_recovered_total",
		"Connections that came back to a channel and got what they missed.", float64(h.stats.Recovered.Load()))
	to.Counter("rollcall_history_refused_total",
		"Connections that came back to a channel and were told that what they missed cannot be had.",
		float64(h.stats.Refused.Load()))
}

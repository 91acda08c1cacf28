package redisconn

import "rollcall/metrics"

// Measure tells metrics what waits for Redis, and how often something may have been lost.
func (c *Client) Measure(to metrics.Scrape) {
	now := c.Stats()
	to.Gauge("rollcall_redis_queue_commands", "Commands that wait for a pipeline to Redis.", float64(now.Queue))
	to.Gauge("rollcall_redis_queue_bytes", "What these commands carry.", float64(now.Bytes))
	to.Counter("rollcall_redis_breaks_total",
		"Moments in which something may have been lost: a broken subscription, one that is back, an "+
			"answer that did not come, another Redis process.", float64(c.Breaks()))
}

package broker

import "rollcall/metrics"

// Measure tells metrics how the subscriptions do.
func (b *Broker) Measure(to metrics.Scrape) {
	now := b.Stats()
	to.Counter("rollcall_redis_messages_received_total",
		"Messages of subscriptions that came from Redis, broadcasts and presence and calls between "+
			"nodes.", float64(now.Messages))
	to.Gauge("rollcall_redis_topics", "Topics of Redis that this node is subscribed to.", float64(now.Topics))
	to.Gauge("rollcall_redis_subscription_connections",
		"Subscription connections to Redis that stand.", float64(now.Conns))
	to.Counter("rollcall_redis_subscription_breaks_total",
		"Subscription connections to Redis that broke or were given up as dead.", float64(now.Breaks))
}

package cluster

import "rollcall/metrics"

// Measure tells metrics how the lease stands and what was seen of other nodes; of nil, that there is no lease yet.
func (c *Cluster) Measure(to metrics.Scrape) {
	phase := Lost
	if c != nil {
		phase = c.Phase()
	}
	for _, p := range []Phase{Held, InDoubt, Lost} {
		to.Gauge("rollcall_lease_state",
			"1 for the state that the node's lease in Redis is in, 0 for the others: held, in_doubt (the heartbeats are "+
				"not answered), lost (a new one is being taken).",
			metrics.Bool(p == phase), "state", p.Label())
	}
	if c == nil {
		return
	}
	to.Gauge("rollcall_cluster_nodes", "Live nodes of the cluster as this one sees it.", float64(len(c.Nodes())))
	to.Counter("rollcall_incarnations_total",
		"Leases that this node began: one at its start, each further one after it was declared dead "+
			"or something was lost.", float64(c.stats.Incarnations.Load()))
	to.Counter("rollcall_reaped_incarnations_total",
		"Incarnations of dead nodes that this node removed.", float64(c.stats.Reaped.Load()))
	to.Counter("rollcall_reap_errors_total",
		"Rounds of removing dead nodes that failed.", float64(c.stats.ReapErrors.Load()))
	to.Counter("rollcall_cluster_questions_dropped_total",
		"Questions of other nodes that got no answer, since too many were being answered.",
		float64(c.stats.Dropped.Load()))
	to.Counter("rollcall_cluster_questions_refused_total",
		"Questions to other nodes that were not asked, since too many were open.", float64(c.stats.Refused.Load()))
}

package presence

import "rollcall/metrics"

// Measure tells metrics who is present and what was done for it.
func (t *Tracker) Measure(to metrics.Scrape) {
	now := t.Census()
	to.Counter("rollcall_reaped_entries_total",
		"Presence entries of dead nodes that this node removed.", float64(t.store.reaped.Load()))
	to.Gauge("rollcall_presence_channels",
		"Channels of which this node holds a view of who is present.", float64(now.Channels))
	to.Gauge("rollcall_presence_users",
		"Users in these views; one who is in two channels counts twice.", float64(now.Users))
	to.Gauge("rollcall_presence_entries",
		"Presence entries of connections of this node, lingering ones included.", float64(now.Entries))
	to.Gauge("rollcall_presence_pending_entries",
		"Entries of this node that are still to be written to Redis.", float64(now.Pending))
	to.Gauge("rollcall_presence_held_removals",
		"Entries that Redis lost and that stay in the views for a lease time, since their nodes may "+
			"write them again.", float64(now.Held))
	to.Counter("rollcall_presence_snapshots_total",
		"Times that a channel's presence was read whole from Redis with success, first readings "+
			"included.", float64(t.stats.Loads.Load()))
	to.Counter("rollcall_presence_gaps_total", "Changes of presence that were missed.", float64(t.stats.Gaps.Load()))
	to.Counter("rollcall_presence_changes_merged_total",
		"Changes of presence that waited for their turn, since there were too many.", float64(t.stats.Merged.Load()))
	to.Counter("rollcall_presence_refused_total",
		"Changes that waited and were then more than their user may have.", float64(t.stats.Refused.Load()))
	to.Counter("rollcall_presence_audits_total",
		"Comparisons of a channel with Redis.", float64(t.stats.Audits.Load()))
	to.Counter("rollcall_presence_audit_errors_total",
		"Comparisons that Redis did not answer.", float64(t.stats.Failed.Load()))
	to.Counter("rollcall_presence_repairs_total",
		"Entries of this node that an audit found missing in Redis, or found there in vain.",
		float64(t.stats.Repairs.Load()))
	to.Counter("rollcall_presence_orphans_total",
		"Entries that belonged to no node and were removed.", float64(t.stats.Orphans.Load()))
	for r := range resync(resyncs) {
		to.Counter("rollcall_presence_resyncs_total",
			"Times that a channel's presence was read again from Redis, by reason.",
			float64(t.stats.resyncs[r].Load()), "reason", r.String())
	}
}

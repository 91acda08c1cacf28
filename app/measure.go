package app

import "rollcall/metrics"

// Measure tells metrics what Lua does.
func (s *Server) Measure(to metrics.Scrape) {
	now := s.Stats()
	s.streams.Measure(to)
	to.Gauge("rollcall_lua_vms", "Lua VMs of event and HTTP handlers.", float64(now.VMs))
	to.Gauge("rollcall_lua_vms_busy", "Of these, in the midst of a turn.", float64(now.Busy))
	to.Gauge("rollcall_lua_turns_waiting", "Events and requests that wait for a VM.", float64(now.Waiting))
	to.Gauge("rollcall_lua_turns_parked", "Events and requests that wait for a fetch, without a VM.", float64(now.Parked))
	to.Gauge("rollcall_lua_scripts", "Connection scripts that run, each in a VM of its own.", float64(now.Scripts))
	to.Gauge("rollcall_lua_gate_waiting", "VMs that wait for a core.", float64(now.GateQueue))
	to.Counter("rollcall_lua_gate_wait_seconds_total",
		"Time that VMs have waited for a core, all together.", now.GateWaited.Seconds())
	to.Gauge("rollcall_lua_memory_bytes",
		"What Lua of all connections holds, an estimate; --script-memory bounds it.", float64(now.Memory))
	for _, c := range s.jobs.counted() {
		to.Counter("rollcall_job_periods_total",
			"Periods of jobs, by what came of them on this node: ran here (ran) or on another node (elsewhere), were left out "+
				"(unsure, busy, late), or Redis did not answer (failed).",
			float64(c.Periods), "job", c.Job, "outcome", string(c.Outcome))
	}
	to.Counter("rollcall_log_lines_dropped_total",
		"Log lines of handlers and scripts that were dropped.", float64(now.Dropped))
}

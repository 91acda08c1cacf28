package app

import "time"

// Stats is what handlers have to do at one moment.
type Stats struct {
	VMs        int           // of event and HTTP handlers
	Busy       int           // of these, in a turn
	Waiting    int           // turns that wait for a VM
	Parked     int           // turns that wait for something else, without a VM
	Scripts    int           // connection scripts that run
	GateQueue  int           // VMs that wait for a core
	GateWaited time.Duration // how long VMs have waited for one so far, all together
	Memory     int64         // bytes that scripts and handlers hold, an estimate
	Dropped    int64         // log lines of theirs that were dropped so far
}

// Stats counts. VMs of an app that has been replaced by a changed one do not count.
func (s *Server) Stats() Stats {
	l := Stats{Scripts: int(s.scripts.Load()), GateQueue: s.cfg.Gate.Waiting(), GateWaited: s.cfg.Gate.Waited(),
		Memory: s.cfg.Memory.Used(), Dropped: s.lines.count()}
	in := s.current.Load()
	count := func(p *pool) {
		workers, busy, waiting, parked := p.load()
		l.VMs, l.Busy, l.Waiting, l.Parked = l.VMs+workers, l.Busy+busy, l.Waiting+waiting, l.Parked+parked
	}
	for _, p := range in.pools {
		count(p)
	}
	count(in.scripts)
	return l
}

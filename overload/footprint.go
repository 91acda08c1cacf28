package overload

import (
	"log/slog"
	"math"
	"runtime/debug"
	"runtime/metrics"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// footprint is what the process uses, in bytes.
type footprint struct {
	limit     uint64 // GOMEMLIMIT; math.MaxInt64: none
	allocated uint64 // on the heap since the process began
	live      uint64 // heap that was reachable at the last collection
	objects   uint64 // heap that is in use or is garbage not collected yet
	free      uint64 // of the heap, and not returned to the system
	other     uint64 // stacks and what the runtime needs for itself
}

// reader reads runtime/metrics into samples that are used again.
type reader struct{ samples []metrics.Sample }

// The order of a reader's samples.
const (
	sampleLimit = iota
	sampleLive
	sampleTotal
	sampleReleased
	sampleFree
	sampleObjects
	sampleUnused
	sampleAllocated
)

func newReader() *reader {
	return &reader{samples: []metrics.Sample{
		sampleLimit:     {Name: "/gc/gomemlimit:bytes"},
		sampleLive:      {Name: "/gc/heap/live:bytes"},
		sampleTotal:     {Name: "/memory/classes/total:bytes"},
		sampleReleased:  {Name: "/memory/classes/heap/released:bytes"},
		sampleFree:      {Name: "/memory/classes/heap/free:bytes"},
		sampleObjects:   {Name: "/memory/classes/heap/objects:bytes"},
		sampleUnused:    {Name: "/memory/classes/heap/unused:bytes"},
		sampleAllocated: {Name: "/gc/heap/allocs:bytes"},
	}}
}

func (r *reader) read() footprint {
	metrics.Read(r.samples)
	v := func(i int) uint64 { return r.samples[i].Value.Uint64() }
	return footprint{
		limit:     v(sampleLimit),
		allocated: v(sampleAllocated),
		live:      v(sampleLive),
		objects:   v(sampleObjects),
		free:      v(sampleFree),
		other:     v(sampleTotal) - v(sampleReleased) - v(sampleFree) - v(sampleObjects) - v(sampleUnused),
	}
}

// MemoryLimit is what the process may use, in bytes: GOMEMLIMIT or what LimitMemory has set, else the machine's memory;
// math.MaxInt64: it is not known.
func MemoryLimit() int64 {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		if system, err := memlimit.FromSystem(); err == nil && system > 0 && system < math.MaxInt64 {
			return int64(system)
		}
	}
	return limit
}

// LimitMemory sets the memory limit to 90 % of what the container may use, when there is such a limit and GOMEMLIMIT
// does not say otherwise.
func LimitMemory(log *slog.Logger) {
	limit, err := memlimit.Set()
	switch {
	case err != nil:
		log.Debug("the container's memory limit is not known", "error", err)
	case limit < math.MaxInt64:
		log.Info("memory limit", "bytes", limit)
	}
}

package redistest

import (
	"strconv"
	"testing"
)

// When another process was faster to take the port of the Cluster's bus, the server that starts with the next ports is
// asked there.
func TestPortTaken(t *testing.T) {
	taken := Standalone(t).Nodes()[0].port
	var ports []int
	p := newProcess(t, "redis", func(p *Process) []string {
		bus := taken
		if len(ports) > 0 {
			bus = FreePort(t)
		}
		ports = append(ports, p.port)
		return append(serverArgs(p), "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus))
	})
	if len(ports) != 2 || p.port != ports[1] {
		t.Fatalf("port %d of %v", p.port, ports)
	}
	if err := p.Client().Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

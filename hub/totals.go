package hub

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Totals are numbers of the whole cluster. Silent names the nodes that did not answer: of their connections the last
// heartbeat's number is in it, of their channels none.
type Totals struct {
	Nodes       int
	Connections int
	Channels    int // that someone is in, each counted once however many nodes it is on
	Silent      []string
}

// nodeTotals is what one node answers: eight bytes of hash stand for a channel, so that many fit into a message.
type nodeTotals struct {
	Connections int    `json:"connections"`
	Channels    []byte `json:"channels"`
}

// Totals asks all nodes.
func (h *Hub) Totals(ctx context.Context) (Totals, error) {
	answers, silent, err := h.cfg.Cluster.Ask(ctx, callTotals, "")
	if err != nil {
		return Totals{}, unavailable("ask the nodes", err)
	}
	slices.Sort(silent)
	t := Totals{Nodes: len(answers) + len(silent), Silent: silent}
	channels := map[uint64]struct{}{}
	for _, a := range answers {
		var one nodeTotals
		if err := json.Unmarshal([]byte(a), &one); err != nil {
			return Totals{}, fmt.Errorf("read a node's answer: %w", err)
		}
		t.Connections += one.Connections
		for sum := range slices.Chunk(one.Channels, 8) {
			if len(sum) == 8 {
				channels[binary.LittleEndian.Uint64(sum)] = struct{}{}
			}
		}
	}
	for _, n := range h.cfg.Cluster.Nodes() {
		if slices.Contains(silent, n.Process) {
			t.Connections += n.Connections
		}
	}
	t.Channels = len(channels)
	return t, nil
}

// totals answers for this node.
func (h *Hub) totals() nodeTotals {
	t := nodeTotals{Connections: h.Load().Connections, Channels: []byte{}}
	for _, r := range h.allRooms() {
		if r.joined() > 0 {
			t.Channels = binary.LittleEndian.AppendUint64(t.Channels, xxhash.Sum64String(r.name))
		}
	}
	return t
}

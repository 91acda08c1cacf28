package cluster

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Load is what a node tells the others about itself with each heartbeat.
type Load struct{ Connections, Channels int }

// Node is one live process as the registry shows it.
type Node struct {
	Process     string
	Incarnation string // the newest one
	Address     string
	Version     string
	StartedAt   time.Time
	PID         int
	Load
}

// ProcessBytes is the length of a process id in a connection id.
const ProcessBytes = 6

// NewProcess draws a process id: 12 hex digits.
func NewProcess() string {
	id := uuid.New()
	return hexOf(id[:ProcessBytes])
}

// NewConnID makes a connection id: a UUIDv8 whose first 48 bits are the process id and whose rest is random.
func NewConnID(process string) string {
	id := uuid.New() // version and variant bits, random elsewhere
	for i := range ProcessBytes {
		b, _ := strconv.ParseUint(process[2*i:2*i+2], 16, 8)
		id[i] = byte(b)
	}
	id[6] = id[6]&0x0f | 0x80
	return id.String()
}

// ProcessOf reads the process id out of a connection id. ok is false for what is no UUID; a UUID that no node made
// gives a process that is not alive.
func ProcessOf(connID string) (process string, ok bool) {
	if len(connID) != 36 {
		return "", false
	}
	id, err := uuid.Parse(connID)
	if err != nil {
		return "", false
	}
	return hexOf(id[:ProcessBytes]), true
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// processOf cuts the generation off an incarnation.
func processOf(inc string) string {
	p, _, _ := strings.Cut(inc, "-")
	return p
}

// generationOf reads the generation of an incarnation.
func generationOf(inc string) int {
	_, g, _ := strings.Cut(inc, "-")
	n, _ := strconv.Atoi(g)
	return n
}

// info is the hash that a heartbeat writes, as field and value in turn.
func (n Node) info() []any {
	return []any{"address", n.Address, "version", n.Version, "pid", n.PID, "started", n.StartedAt.UnixMilli(),
		"connections", n.Connections, "channels", n.Channels}
}

// nodeFrom reads what info wrote.
func nodeFrom(inc string, h map[string]string) Node {
	num := func(k string) int { n, _ := strconv.Atoi(h[k]); return n }
	return Node{Process: processOf(inc), Incarnation: inc, Address: h["address"], Version: h["version"], PID: num("pid"),
		StartedAt: time.UnixMilli(int64(num("started"))), Load: Load{num("connections"), num("channels")}}
}

// merge keeps the newest incarnation of each process.
func merge(nodes []Node) map[string]Node {
	m := make(map[string]Node, len(nodes))
	for _, n := range nodes {
		if old, ok := m[n.Process]; !ok || generationOf(n.Incarnation) > generationOf(old.Incarnation) {
			m[n.Process] = n
		}
	}
	return m
}

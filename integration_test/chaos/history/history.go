package history

import (
	"math"
	"time"
)

// Kind says what an event is.
type Kind byte

// What a client did, or what became of its connection.
const (
	Dialed    Kind = iota // it began to connect
	Opened                // the upgrade was answered
	Asked                 // it sent the request to track its user in Room as Device; Text is the state
	Confirmed             // it was shown itself in Room: the entry is written
	Changed               // it sent another state in Room: Text
	Withdrew              // it sent the request to untrack in Room
	Ended                 // the connection is over; Text: "left" by the client, else how the server ended it

	// What it was told.

	Whole  // all of Room: View
	Join   // of User in Room; Text are the metas as in View, for scripts the name of one device
	Update // likewise
	Leave  // likewise; Text are the last metas
	Again  // a join or update of User with the metas that it knew
	Heard  // a broadcast in Room: Device sent it as its Number-th
	Absurd // what no right server tells: Text
)

func (k Kind) String() string {
	return [...]string{"dials", "is connected", "tracks", "sees itself", "changes its state", "untracks", "is over",
		"is shown all", "is told: join", "is told: update", "is told: leave", "is told again", "hears", "is told nonsense"}[k]
}

// Event is one entry of a client's history.
type Event struct {
	At     time.Duration
	Kind   Kind
	Room   string
	User   string
	Device string // of Asked: what metas call this tracking; of Heard: who sent it
	Text   string
	Number int               // of a broadcast
	Frame  int               // events of one frame have the same
	View   map[string]string // user to metas: "<device>=<state>", sorted, with spaces between; nil but for Whole
}

// Route is how a client is connected.
type Route byte

// Routes.
const (
	Plain   Route = iota // an event handler
	Devices              // an event handler with presence = "devices"
	Script               // a connection script
	Phoenix              // a socket of Phoenix, whose handlers are those of topics
	List                 // no connection: what a node answers when it is asked for lists
)

func (r Route) String() string {
	return [...]string{"plain", "devices", "script", "phoenix", "list"}[r]
}

// SeesDevices tells whether clients of the route are told of each device, not of users alone.
func (r Route) SeesDevices() bool { return r == Devices || r == Phoenix || r == List }

// Identifies tells whether clients say whose connection they are.
func (r Route) Identifies() bool { return r != Phoenix && r != List }

// Client is one connection and all it lived through.
type Client struct {
	Name   string
	User   string // "" for one that only watches
	Route  Route
	Node   string
	Events []Event // in the client's order; At never falls
}

// Fault is what was done to the cluster.
type Fault struct {
	Name  string // names its Promise
	Began time.Duration
	Ended time.Duration // for what has no length: Began
	Nodes []string      // whose nodes it struck; empty: all
	Note  string        // for a reader
}

// Point is a moment of rest: since Quiet no client has begun anything, and views were given time to be exact. What was
// told after one point and up to the next is a segment.
type Point struct {
	Quiet time.Duration
	At    time.Duration
}

// Span is a time in which the driver itself did not run.
type Span struct{ From, To time.Duration }

// Times are the cluster's settings. Restart is --restart-grace, and no longer than Gone less a heartbeat and 2 s.
type Times struct{ Lease, Grace, Heartbeat, Ping, Restart time.Duration }

// Gone is how long the users of a killed node may be shown: SPEC 5.1, "lease + grace + one heartbeat + 1 s".
func (t Times) Gone() time.Duration { return t.Lease + t.Grace + t.Heartbeat + time.Second }

// Sighting is what a node answered at a point of rest when it was asked for a user.
type Sighting struct {
	At       time.Duration
	User     string
	Online   bool
	LastSeen time.Duration // Never: not known
}

// Never is before all.
const Never = time.Duration(math.MinInt64)

// Record is a whole run.
type Record struct {
	Times   Times
	Clients []*Client
	Faults  []Fault
	Points  []Point
	Stalls  []Span
	Hooks   []Violation // what back ends were told wrongly, as the run itself judged

	Sightings []Sighting

	Began     time.Time // by the clock that Redis has too
	Followers []*Follower
	Sayings   []*Saying
}

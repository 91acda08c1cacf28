package hub

import (
	"errors"
	"fmt"
	"time"

	"rollcall/auth"
	"rollcall/history"
	"rollcall/naming"
	"rollcall/outbox"
	"rollcall/presence"
)

// Limits of SPEC 1 and 6.
const (
	MaxChannels  = 128 // a connection may be in
	MaxTrackings = 32  // a connection may have
)

// Errors whose texts are for the author of a handler.
var (
	ErrBadChannel = fmt.Errorf("a channel name must be 1 to %d bytes of UTF-8 without control characters",
		naming.MaxBytes)
	ErrTooMany      = fmt.Errorf("a connection may be in %d channels at most", MaxChannels)
	ErrTooManyTrack = fmt.Errorf("a connection may be tracked in %d channels at most", MaxTrackings)
	ErrNoRoom       = errors.New("broadcast_room: this connection is in no channel")
	ErrBadID        = errors.New("not a connection id (a UUID)")
	ErrNoConnection = errors.New("there is no connection for it")
	ErrNoTimers     = errors.New("this connection has no timers")
	ErrGone         = errors.New("this connection is closed")
	ErrUnavailable  = errors.New("cannot reach Redis")
	ErrSilent       = errors.New("a node did not answer in time")
)

// CheckChannel says why a name is not allowed, or nil.
func CheckChannel(name string) error {
	if !naming.Valid(name) {
		return ErrBadChannel
	}
	return nil
}

// Value is one JSON value on its way to clients (SPEC 1.2): a string leaves as it is, anything else as JSON text.
type Value struct {
	Text string
	JSON bool // Text is the JSON text of a value that is no string; else Text is the string itself

	Transient bool // of a broadcast: it is not kept where the channel has a history (SPEC 7)
}

// EventKind tells a broadcast from a presence event.
type EventKind byte

// What a connection script can receive besides its client's messages.
const (
	EventBroadcast EventKind = iota + 1
	EventPresence
	EventLost // to "lost": messages of a channel with history are missing
)

// Event is what recv_any gives a connection script as "channel" or "presence". It is shared: receivers do not change
// it.
type Event struct {
	Kind      EventKind
	Channel   string
	Timestamp int64 // ms

	// EventBroadcast
	Data     Value
	SenderID string // connection id; "" when sent by the HTTP API
	Position string // of one that is kept; of EventLost: what comes next follows it

	Why string // EventLost

	// EventPresence
	Type     string // "join", "leave", "update"
	UserID   string
	ConnID   string
	Cause    presence.Cause // of a "leave"
	UserInfo []byte         // JSON object
}

// eventBytes is what an event takes besides its texts.
const eventBytes = 160

// Size is what a waiting event takes, in bytes, for bounds. Connections share it; each is charged for the whole.
func (e *Event) Size() int {
	return eventBytes + len(e.Channel) + len(e.Data.Text) + len(e.UserID) + len(e.UserInfo)
}

// Conn is the client's end; *outbox.Conn is one. No call blocks.
type Conn interface {
	Send(outbox.Frame) error
	Close(code int, reason string)
	// CloseFor is Close for another cause than the connection's own handler.
	CloseFor(why outbox.Why, code int, reason string)
	// Fits tells whether frames could all be queued now.
	Fits(frames []outbox.Frame) bool
}

// Member describes a connection that enters the hub.
type Member struct {
	ID      string // from Hub.NewID
	Conn    Conn
	Route   string // as registered, for listings and logs
	Addr    string // of the client
	User    []byte // JSON of SPEC 4's user table, for listings
	Devices bool   // the route has presence = "devices"
	Resume  bool   // the route has resume = true

	// Positions are where the client was in channels with history, by channel: its first join of each goes on from there.
	Positions map[string]history.Position

	// Permit says why the connection may not do something in a channel; "": on all connections. nil: it may do all. Do
	// asks it about each action but those that take away, only read, or are about this client alone.
	Permit func(v auth.Verb, channel string) error

	// SetTimer carries out the action after; its errors are for the author of the handler. nil: the connection has none.
	SetTimer func(Timer) error

	// Events is set for connection scripts. It must not block; false means that the script's queue is full, and
	// then the hub sends it nothing more (its owner closes the connection with 1013).
	Events func(*Event) bool
	// Fits is set with Events. It tells whether the script's queue takes so many events of so many bytes together.
	Fits func(events, bytes int) bool
}

// ActionKind names an action of an event handler (SPEC 1.2). The order is that of SPEC's table.
type ActionKind byte

// The actions.
const (
	ActionLeave ActionKind = iota + 1
	ActionJoin
	ActionUntrack
	ActionTrack
	ActionSetPresence
	ActionSend
	ActionSendPresence
	ActionHistory
	ActionBroadcastRoom
	ActionBroadcastChannel
	ActionBroadcast
	ActionAfter
	ActionClose
)

var actionNames = [...]string{"", "leave", "join", "untrack", "track", "set_presence", "send", "send_presence",
	"history", "broadcast_room", "broadcast_channel", "broadcast", "after", "close"}

func (k ActionKind) String() string { return actionNames[k] }

// Timer is what an action after asks for: an event of its connection, later (SPEC 11).
type Timer struct {
	Name   string
	Wait   time.Duration
	Data   string // JSON; "": none
	Cancel bool   // takes back the timer of this name instead
}

// Action is one validated action of an event handler.
type Action struct {
	Kind    ActionKind
	Channel string            // all but send, broadcast, after, close; "" in broadcast_room: room
	UserID  string            // track
	Fields  presence.Fields   // track, set_presence
	Value   Value             // send and the broadcasts
	Timer   *Timer            // after
	Code    int               // close
	Reason  string            // close
	Since   *history.Position // join: where the client was; nil: where it said at its start, or now
	Query   history.Query     // history
	Trusted bool              // the broadcasts: it is the app's own, and nobody is asked about it

	room string // of a broadcast_room without Channel, found by Do: the one joined in this return, else the newest
}

// ActionError is an action that could not be carried out; the ones after it still are.
type ActionError struct {
	Action Action
	Err    error
}

func (e ActionError) Error() string { return e.Action.Kind.String() + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e ActionError) Unwrap() error { return e.Err }

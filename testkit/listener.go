package testkit

// Listener hears a topic; it is a receiver of package broker.
type Listener struct {
	Heard chan string // in the order in which it came

	ready chan struct{} // subscribed to; capacity 1
}

// NewListener makes one that takes many messages before anybody reads them.
func NewListener() *Listener {
	return &Listener{Heard: make(chan string, 1<<14), ready: make(chan struct{}, 1)}
}

// Receive takes a message.
func (l *Listener) Receive(payload string) { l.Heard <- payload }

// Resubscribed says that what is published from now on comes.
func (l *Listener) Resubscribed() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// Ready waits until what is published comes.
func (l *Listener) Ready() { <-l.ready }

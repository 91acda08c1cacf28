package testkit

import (
	"strings"
	"sync"
)

// Calls notes which methods of something were called, in order. The zero Calls is ready; it is safe for concurrent use.
type Calls struct {
	mu    sync.Mutex
	names []string
}

// Note notes a call.
func (c *Calls) Note(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = append(c.names, name)
}

// Noted gives what was noted, with spaces between.
func (c *Calls) Noted() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.names, " ")
}

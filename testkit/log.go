package testkit

import (
	"strings"
	"sync"
)

// Log keeps what a logger writes. Safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write takes some lines.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

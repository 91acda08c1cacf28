// Package history keeps the last messages of channels. So a client that comes back gets what it missed, or is told that
// it cannot be had (SPEC 7).
//
// Store is history in Redis: one script keeps a message and publishes it. Ring and Gate are values without clock, lock
// or Redis. A Ring is the newest messages of one channel as a node heard them. A Gate decides when a message passes on,
// so that each listener gets all of them, once and in order. Rules say which channels have a history.
//
// It runs no goroutines. It never knows what a message says or who a listener is.
package history

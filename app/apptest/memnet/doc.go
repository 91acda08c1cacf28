// Package memnet is a network inside one process: connections with buffers, as sockets have them, and listeners.
// Everything that waits, waits in a way that testing/synctest knows, so it may be used in virtual time.
//
// It starts no goroutine, and a timer for each deadline that is set.
package memnet

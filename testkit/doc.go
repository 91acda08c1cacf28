// Package testkit is what tests of all rooms share; its folders hold what is about Redis, nodes, tokens and presence.
//
// Only tests import it, and it imports no room. It starts no goroutine.
package testkit

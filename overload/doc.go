// Package overload says what a node refuses, so that it can serve the rest.
//
//	limiter.go   pure: how often something may happen
//
// It starts no goroutine, and knows no other room.
package overload

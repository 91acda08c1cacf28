// Package history judges what the clients of a cluster lived through: histories in, a verdict out. It is pure; the
// package chaos above it makes the histories.
//
//	history.go   what is recorded: clients with their events, faults, points of rest
//	promise.go   what SPEC 5 promises under each kind of fault
//	truth.go     when a user was surely there, from what the clients did themselves
//	view.go      what one client knew of a room at each moment
//	check.go     the verdict; the rules are in told.go, order.go, exact.go and life.go
//	story.go     the events that concern one violation, for a reader
//
// All times are since the beginning of the run, by one clock.
package history

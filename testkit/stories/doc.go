// Package stories holds what a cluster of three nodes must do, row by row of SPEC 1.1 to 1.3, told over HTTP and
// WebSockets only. It is run twice: on three nodes in one process with a miniredis (cmd/node) and on three real
// processes with a real Redis (integration_test). The nodes serve the app of integration_test/testdata/app.
//
// Only tests import this package. It starts no goroutine but those of nodetest's clients.
package stories

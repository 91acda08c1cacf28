// Package nodetest runs real nodes and clients for tests. Nodes are the binary of cmd/node as processes that can be
// killed, frozen and thawed. Its WebSocket clients keep presence (package roster), and remember all they were told.
//
// Only tests import this package. It starts one goroutine per process, which waits for its end, and one per client,
// which reads; all have ended when the test's cleanup has. Nodes listen on free ports of 127.0.0.1.
package nodetest

// Package redistest runs real Redis servers for tests: Standalone, a Cluster of any shape, Sentinel with a master and a
// replica. There is also Mini, a miniredis with the same face where that is possible. [Proxy] stands between a client
// and a server and makes network faults.
//
// Servers listen on free ports of 127.0.0.1, keep their files in the test's temporary folder, persist
// nothing unless asked to, and end with the test. A test is skipped, with the reason, where
// redis-server is not installed, unless ROLLCALL_TEST_REQUIRE is set to something: then it fails.
//
// Only tests import this package. It starts one goroutine per server, which waits for
// the process, and those of a Proxy; all have ended when the test's cleanup has.
package redistest

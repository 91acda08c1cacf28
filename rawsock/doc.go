// Package rawsock reads and writes sockets by system calls that do not block and of which Go's scheduler is not told.
//
// A call the ordinary way takes leave of the scheduler, since it might block. If the process was idle this wakes the
// runtime's monitor thread, which then looks around every 20 µs for a while. On a node with little to do that costs
// more than the call. A call on a socket in non-blocking mode never blocks, so nobody has to know of it. To wait for a
// socket the runtime's poller is used, as ever, so deadlines and Close work as with net.
package rawsock

package wsconn

// CheckPeer finds out whether the peer has gone, and closes Done then. While the Handler is at work nobody reads, so
// that it would come out only with the next ping. Any goroutine may call it; it does not wait.
func (c *Conn) CheckPeer() {
	if c.busy.Load() && hungUp(c.raw) {
		c.lost()
	}
}

package egress

import (
	"errors"
	"io"
)

var (
	errTooLarge = failed(TooLarge, "the body of the answer is longer than %d bytes", MaxBody)
	errHeld     = failed(TooLarge, "the answers that this node reads now hold too many bytes together")
)

// limited fails with errTooLarge once more than left bytes were read, so that nobody reads on for ever.
type limited struct {
	from io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if len(p) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.from.Read(p)
	if l.left -= n; l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// readBody reads to the end, at most MaxBody bytes. What the buffer takes is added to held, and to what all of them
// hold, before it is taken.
func (c *Client) readBody(from io.Reader, held *int) ([]byte, error) {
	var body []byte
	for {
		if len(body) == cap(body) {
			size := min(max(2*cap(body), 512), MaxBody+1)
			if c.held.Add(int64(size)) > c.cfg.Held {
				c.held.Add(-int64(size))
				return nil, errHeld
			}
			*held += size
			grown := append(make([]byte, 0, size), body...)
			if before := cap(body); before > 0 {
				*held -= before
				c.held.Add(-int64(before))
			}
			body = grown
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > MaxBody:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

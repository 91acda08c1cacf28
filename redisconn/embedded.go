package redisconn

import (
	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
)

// embedded is the in-process Redis of a node that was given none.
type embedded struct {
	*miniredis.Miniredis
	password string
}

// startEmbedded listens on a free loopback port, behind a random password: other
// users of the machine can reach the port too.
func startEmbedded() (*embedded, error) {
	e := &embedded{Miniredis: miniredis.NewMiniRedis(), password: uuid.NewString()}
	e.RequireAuth(e.password)
	if err := e.Start(); err != nil {
		return nil, err
	}
	e.ClockTTL(true) // else nothing would ever expire
	return e, nil
}

func (e *embedded) stop() {
	if e != nil {
		e.Close()
	}
}

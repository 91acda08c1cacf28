package redisconn_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"rollcall/redisconn"
)

// Clients with connections of their own work in virtual time, one after another: nothing of a client outlives its
// bubble.
func TestDialInside(t *testing.T) {
	for range 20 { // a pool of all clients would give one what another has used
		synctest.Test(t, func(t *testing.T) {
			server := miniredis.NewMiniRedis()
			first, err := server.Dial() // which makes the server without a listener
			if err != nil {
				t.Fatal(err)
			}
			_ = first.Close()
			defer server.Close()
			client, err := redisconn.Open(t.Context(), redisconn.Config{Dial: func(context.Context) (net.Conn, error) {
				here, there := net.Pipe()
				server.Server().ServeConn(there)
				return here, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer synctest.Wait() // for a connection that go-redis was still making
			defer client.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := client.Do(ctx, "SET", "a", "1"); err != nil {
				t.Fatal(err)
			}
			if got, err := client.Do(ctx, "GET", "a"); got != "1" || err != nil {
				t.Errorf("GET: %v, %v", got, err)
			}
			began := time.Now()
			for range 100 {
				if _, err := client.Do(ctx, "GET", "a"); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took > 0 {
				t.Errorf("commands waited for others for %v", took)
			}
		})
	}
}

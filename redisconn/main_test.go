package redisconn_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"rollcall/redisconn"
)

func TestMain(m *testing.M) {
	redisconn.RouteLibraryLog(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m)
}

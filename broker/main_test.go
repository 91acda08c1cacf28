package broker_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"rollcall/broker"
)

func TestMain(m *testing.M) {
	broker.RouteLibraryLog(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m)
}

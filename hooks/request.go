package hooks

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// frameBytes is more than what stands around the events of a request.
const frameBytes = 256

// maxEvents is how many bytes the events of a request may take.
const maxEvents = MaxRequest - frameBytes

// request is what a sink is asked to acknowledge. It is kept in Redis, and repeated unchanged.
type request struct {
	ID     string
	Body   []byte // {"id","sent_at","events"}
	Events int
	Acked  []op // noted once it is acknowledged
}

// newRequest makes a request of events, at most MaxEvents and maxEvents bytes of them.
func newRequest(events []Event, acked []op) *request {
	id := "msg_" + rand.Text()
	body := encode(struct {
		ID     string  `json:"id"`
		SentAt int64   `json:"sent_at"`
		Events []Event `json:"events"`
	}{id, time.Now().UnixMilli(), events})
	return &request{id, body, len(events), acked}
}

// list gives the events, each as JSON.
func (r *request) list() (events []json.RawMessage, err error) {
	var b struct{ Events []json.RawMessage }
	if err := json.Unmarshal(r.Body, &b); err != nil {
		return nil, fmt.Errorf("decode events: %w", err)
	}
	return b.Events, nil
}

// text is the request as it is kept: its id, a line feed, the rest as JSON.
func (r *request) text() string { return r.ID + "\n" + string(encode(r)) }

// requestFrom reads what was kept.
func requestFrom(text string) (*request, error) {
	_, rest, _ := strings.Cut(text, "\n")
	var r request
	if err := json.Unmarshal([]byte(rest), &r); err != nil {
		return nil, fmt.Errorf("decode the request that was kept: %w", err)
	}
	return &r, nil
}

package hooks

import (
	"bytes"
	"encoding/json"
)

// Event is one thing that a sink is told (SPEC 10). As JSON: {"type","channel","user_id","metas","cause","at"}, fields
// that it has not left out.
type Event struct {
	Type    Kind            `json:"type"`
	Channel string          `json:"channel,omitempty"`
	UserID  string          `json:"user_id,omitempty"`
	Metas   json.RawMessage `json:"metas,omitempty"` // of a leave those that were told last
	Cause   string          `json:"cause,omitempty"` // of a leave, when it is known
	Users   []syncedUser    `json:"users,omitempty"` // of a sync
	Part    int             `json:"part,omitempty"`  // of a sync, from 1
	Parts   int             `json:"parts,omitempty"`
	At      int64           `json:"at"` // ms
}

// syncedUser is one user of a sync.
type syncedUser struct {
	UserID string          `json:"user_id"`
	Metas  json.RawMessage `json:"metas"`
}

// encode writes a value as JSON, HTML characters as they are.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // its raw parts were made by encoders too
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// raw is a text of Redis as a part of JSON; what somebody damaged there is shown as an empty array.
func raw(text string) json.RawMessage {
	if !json.Valid([]byte(text)) {
		return json.RawMessage("[]")
	}
	return json.RawMessage(text)
}

package app

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Script is a script that was registered over HTTP; its JSON is the shape of SPEC 2.
type Script struct {
	DB      string `json:"db"`
	Path    string `json:"path"`
	Method  string `json:"method"`
	Code    string `json:"code"`
	Version int64  `json:"version"` // ms of the Redis clock when it was written; a later one is always higher
}

// Name is where the script is served.
func (s Script) Name() ScriptName { return ScriptName{s.DB, s.Path, s.Method} }

// record is one field of the registry: a script, or the mark that it was deleted. It does not change.
// Marks stay for keepDeleted, so that a node that missed the deletion does not write the script back.
type record struct {
	Script
	deleted bool
	raw     string // the value in Redis: "<version> <+|-> <JSON>"
}

// records is a state of the registry: field (ScriptName.field) to record.
type records map[string]*record

// fieldRev holds the mark of the last change, beside the scripts in the hash.
const fieldRev = "@rev"

// keepDeleted is how long the mark of a deletion stays.
const keepDeleted = 24 * time.Hour

// payload is what a record stores besides version and mark.
type payload struct {
	DB     string `json:"db"`
	Path   string `json:"path"`
	Method string `json:"method"`
	Code   string `json:"code,omitempty"`
}

func encodePayload(n ScriptName, code string) (string, error) {
	b, err := json.Marshal(payload{n.DB, n.Path, n.Method, code})
	return string(b), err
}

// parseRecord reads a value of the hash.
func parseRecord(raw string) (*record, error) {
	parts := strings.SplitN(raw, " ", 3)
	if len(parts) != 3 || parts[1] != "+" && parts[1] != "-" {
		return nil, fmt.Errorf("a registered script is damaged: %.60q", raw)
	}
	version, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("version of a registered script: %w", err)
	}
	var p payload
	if err := json.Unmarshal([]byte(parts[2]), &p); err != nil {
		return nil, fmt.Errorf("decode a registered script: %w", err)
	}
	if _, err := ParseScriptName(p.DB, p.Path, p.Method); err != nil {
		return nil, fmt.Errorf("a registered script: %w", err)
	}
	return &record{
		Script:  Script{DB: p.DB, Path: p.Path, Method: p.Method, Code: p.Code, Version: version},
		deleted: parts[1] == "-",
		raw:     raw,
	}, nil
}

// newer tells which of two records of one field wins: the later version, and of equal ones the one every node picks.
func (r *record) newer(o *record) bool {
	if r.Version != o.Version {
		return r.Version > o.Version
	}
	return r.raw > o.raw
}

// expired tells that the mark of a deletion may go.
func (r *record) expired(now time.Time) bool {
	return r.deleted && now.Sub(time.UnixMilli(r.Version)) > keepDeleted
}

// mergeRecords decides what a node holds after it has read Redis, and what Redis has lost (SPEC 5: "After a wipe nodes
// write back … the registered scripts they hold (the newest version wins)"): restore is to be written, forget removed.
func mergeRecords(local, remote records, now time.Time) (next, restore, forget records) {
	next, restore, forget = records{}, records{}, records{}
	for field, r := range remote {
		if r.expired(now) {
			forget[field] = r
		} else {
			next[field] = r
		}
	}
	for field, l := range local {
		r := remote[field]
		if l.expired(now) || r != nil && !l.newer(r) {
			continue
		}
		next[field] = l
		restore[field] = l
		delete(forget, field)
	}
	return next, restore, forget
}

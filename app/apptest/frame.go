package apptest

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// frame is what a client got.
type frame struct {
	text   string
	binary bool
}

// value is the frame's JSON; false: it is none.
func (f frame) value() (v any, ok bool) {
	return v, !f.binary && json.Unmarshal([]byte(f.text), &v) == nil
}

// differences says what does not fit: a string is compared with the bytes of the frame, any other value with its JSON.
func (f frame) differences(want any) []string {
	if text, ok := want.(string); ok {
		if text != f.text {
			return []string{fmt.Sprintf("expected the text %s", compact(text))}
		}
		return nil
	}
	v, ok := f.value()
	if !ok {
		return []string{"it is no JSON"}
	}
	return differences(want, v)
}

func (f frame) String() string {
	switch {
	case f.binary && utf8.ValidString(f.text):
		return fmt.Sprintf("binary %q", f.text)
	case f.binary:
		return fmt.Sprintf("binary %x", f.text)
	}
	return f.text
}

package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/app"
	"rollcall/ijson"
)

// Bounds of bodies.
const (
	maxMessage = 1 << 20         // bytes of a body with one message, and of each message in a batch
	maxBatch   = 8 << 20         // bytes of a batch
	maxScript  = 8 * app.MaxCode // bytes of a script and what JSON adds to it
	maxNesting = 200             // of arrays and objects: no deeper than what handlers can read
	maxItems   = 1000            // of a list
	maxParts   = 10 * maxItems   // names, values and brackets, those of messages apart
	bodyTime   = 5 * time.Second

	maxLocation = 500 // bytes of the place of a fault
)

// takeBody reads the body and puts what was read in its place. raw: it need not be JSON.
func (s *Server) takeBody(w http.ResponseWriter, r *http.Request, limit int64, raw bool) *problem {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // tests have no connection
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		text := fmt.Sprintf("the body is larger than %d bytes", limit)
		return &problem{http.StatusRequestEntityTooLarge, text, at("body", text)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &problem{http.StatusRequestTimeout, "the body did not come in time", at("body", "late")}
	case err != nil:
		return &problem{http.StatusBadRequest, "the body cannot be read", at("body", err.Error())}
	case len(bytes.TrimSpace(body)) == 0:
		return &problem{http.StatusBadRequest, "a body is needed", at("body", "missing")}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if kind := r.Header.Get("Content-Type"); raw || kind != "" && !ijson.IsMediaType(kind) {
		return nil
	}
	r.Header.Set("Content-Type", "application/json") // the one way huma knows it
	return strict(body)
}

// strict says what makes a text no JSON that everybody reads alike. It stops at the first item too many, before any
// value is made of the text: what is wrong with each of a million items is nothing to tell.
func strict(text []byte) *problem {
	parts := partCounter{message: -1}
	err := ijson.Walk(text, maxNesting, parts.count)
	var fault *ijson.Error
	if errors.As(err, &fault) {
		return &problem{http.StatusBadRequest, "the body is no JSON", at(location(fault.Where), fault.Error())}
	}
	return parts.problem
}

// partCounter counts what a body has besides the messages in it, which are any JSON.
type partCounter struct {
	parts   int
	message int      // depth of the object whose member "message" is being read; -1: none
	problem *problem // why count has ended the walk
}

var errTooMany = errors.New("too many parts")

func (c *partCounter) count(d *jsontext.Decoder, token jsontext.Token) error {
	depth := d.StackDepth()
	if c.message >= 0 {
		if depth == c.message {
			c.message = -1
		}
		return nil
	}
	kind, length := d.StackIndex(depth)
	if kind == '{' && length%2 == 1 && token.String() == messageName {
		c.message = depth
	}
	c.parts++
	switch {
	case kind == '[' && length > maxItems:
		return c.tooMany(location(d.StackPointer().Parent()), fmt.Sprintf("a list has more than %d items", maxItems))
	case c.parts > maxParts:
		return c.tooMany("body", fmt.Sprintf("the body has more than %d names and values besides its messages", maxParts))
	}
	return nil
}

func (c *partCounter) tooMany(where, text string) error {
	c.problem = &problem{http.StatusUnprocessableEntity, text, at(where, text)}
	return errTooMany
}

// messageName is the member that holds a message, in whatever object.
const messageName = "message"

// exactNames is JSON whose members must be written as the document has them: encoding/json takes them in any case.
var exactNames = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(text []byte, v any) error {
		return json.Unmarshal(text, v, json.RejectUnknownMembers(true), noMessages)
	},
}

// noMessages keeps the values that huma checks a body by from holding its messages, which any value may be.
var noMessages = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *any) error {
	if kind, n := d.StackIndex(d.StackDepth()); kind != '{' || n%2 == 0 || d.StackPointer().LastToken() != messageName {
		return json.SkipFunc
	}
	*v = true
	return d.SkipValue()
}))

// location writes a JSON pointer as problem documents do: "/a/0/b" is "body.a[0].b"; a long one is "body".
func location(p jsontext.Pointer) string {
	where := "body"
	for token := range p.Tokens() {
		if token != "" && strings.Trim(token, "0123456789") == "" {
			where += "[" + token + "]"
		} else {
			where += "." + token
		}
	}
	if len(where) > maxLocation {
		return "body"
	}
	return where
}

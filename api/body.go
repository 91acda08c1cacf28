package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/app"
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
)

// bodyProblem is what is wrong with a body.
type bodyProblem struct {
	status int
	detail string
	where  *huma.ErrorDetail
}

// takeBody reads the body and puts what was read in its place. raw: it need not be JSON.
func (s *Server) takeBody(w http.ResponseWriter, r *http.Request, limit int64, raw bool) *bodyProblem {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // tests have no connection
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		text := fmt.Sprintf("the body is larger than %d bytes", limit)
		return &bodyProblem{http.StatusRequestEntityTooLarge, text, at("body", text)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &bodyProblem{http.StatusRequestTimeout, "the body did not come in time", at("body", "late")}
	case err != nil:
		return &bodyProblem{http.StatusBadRequest, "the body cannot be read", at("body", err.Error())}
	case len(bytes.TrimSpace(body)) == 0:
		return &bodyProblem{http.StatusBadRequest, "a body is needed", at("body", "missing")}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if kind := r.Header.Get("Content-Type"); raw || kind != "" && !isJSON(kind) {
		return nil
	}
	r.Header.Set("Content-Type", "application/json") // the one way huma knows it
	return strict(body)
}

// isJSON tells that a media type is JSON's.
func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// strict says what makes a text no JSON that everybody reads alike (RFC 7493): besides bad syntax, a name twice in one
// object, text that is not UTF-8, half of a surrogate pair, too much nesting. It stops at the first item too many, before
// any value is made of the text: what is wrong with each of a million items is nothing to tell.
func strict(text []byte) *bodyProblem {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	parts := partCounter{message: -1}
	for values := 0; ; {
		token, err := d.ReadToken()
		if err == nil {
			if p := parts.count(d, token); p != nil {
				return p
			}
		}
		switch {
		case errors.Is(err, io.EOF) && values == 1:
			return nil
		case err != nil || values == 1:
			where, why := d.StackPointer(), "there is more after it"
			var syntax *jsontext.SyntacticError
			if errors.As(err, &syntax) {
				where, why = syntax.JSONPointer, fmt.Sprintf("%v, at byte %d", syntax.Err, syntax.ByteOffset)
			} else if err != nil {
				why = "it ends too early"
			}
			return &bodyProblem{http.StatusBadRequest, "the body is no JSON", at(location(where), why)}
		case d.StackDepth() > maxNesting:
			why := fmt.Sprintf("nested deeper than %d", maxNesting)
			return &bodyProblem{http.StatusBadRequest, "the body is no JSON for us", at("body", why)}
		case d.StackDepth() == 0:
			values++
		}
	}
}

// partCounter counts what a body has besides the messages in it, which are any JSON.
type partCounter struct {
	parts   int
	message int // depth of the object whose member "message" is being read; -1: none
}

func (c *partCounter) count(d *jsontext.Decoder, token jsontext.Token) *bodyProblem {
	depth := d.StackDepth()
	if c.message >= 0 {
		if depth == c.message {
			c.message = -1
		}
		return nil
	}
	kind, length := d.StackIndex(depth)
	switch {
	case kind == '{' && length%2 == 1 && token.Kind() == '"' && token.String() == "message":
		c.message = depth
	case kind == '[' && length > maxItems:
		text := fmt.Sprintf("a list has more than %d items", maxItems)
		return &bodyProblem{http.StatusUnprocessableEntity, text, at(location(d.StackPointer().Parent()), text)}
	}
	if c.parts++; c.parts > maxParts {
		text := fmt.Sprintf("the body has more than %d names and values besides its messages", maxParts)
		return &bodyProblem{http.StatusUnprocessableEntity, text, at("body", text)}
	}
	return nil
}

// exactNames is JSON whose members must be written as the document has them: encoding/json takes them in any case.
var exactNames = huma.Format{
	Marshal:   huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(text []byte, v any) error { return json.Unmarshal(text, v, json.RejectUnknownMembers(true)) },
}

// location writes a JSON pointer as problem documents do: "/a/0/b" is "body.a[0].b".
func location(p jsontext.Pointer) string {
	where := "body"
	for token := range p.Tokens() {
		if token != "" && strings.Trim(token, "0123456789") == "" {
			where += "[" + token + "]"
		} else {
			where += "." + token
		}
	}
	return where
}

package ijson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// What is wrong with a text whose syntax is right, and where its syntax ends too early.
var (
	ErrTwice    = jsontext.ErrDuplicateName
	ErrTrailing = errors.New("there is more after it")
	ErrShort    = errors.New("it ends too early")
	ErrDepth    = errors.New("nested too deeply")
	ErrNumber   = errors.New("a number out of range")
)

// Error says what is wrong with a text, and where.
type Error struct {
	Where  jsontext.Pointer
	Offset int64 // in bytes
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("%v, at byte %d", e.Err, e.Offset) }

// Unwrap gives the cause: one of those above, or of syntax.
func (e *Error) Unwrap() error { return e.Err }

// Walk reads the one value that text must be, at most depth arrays and objects deep, and calls visit after each token.
// An error of visit ends it. Its own are *Error: bad syntax, a name twice in one object, text that is not UTF-8, half
// of a surrogate pair, a number beyond float64, more after the value.
func Walk(text []byte, depth int, visit func(*jsontext.Decoder, jsontext.Token) error) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(text))
	for values := 0; ; {
		token, err := d.ReadToken()
		switch {
		case errors.Is(err, io.EOF) && values == 1:
			return nil
		case err != nil:
			return syntaxError(d, err)
		case values == 1:
			err = ErrTrailing
		case d.StackDepth() > depth:
			err = fmt.Errorf("%w: %d levels at most", ErrDepth, depth)
		case token.Kind() == '0' && !inRange(token):
			err = ErrNumber
		}
		if err != nil {
			return &Error{d.StackPointer(), d.InputOffset(), err}
		}
		if err := visit(d, token); err != nil {
			return err
		}
		if d.StackDepth() == 0 {
			values++
		}
	}
}

func syntaxError(d *jsontext.Decoder, err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return &Error{syntax.JSONPointer, syntax.ByteOffset, syntax.Err}
	}
	return &Error{d.StackPointer(), d.InputOffset(), ErrShort}
}

// inRange tells that a float64 holds about the number.
func inRange(number jsontext.Token) bool {
	_, err := strconv.ParseFloat(number.String(), 64)
	return err == nil
}

// IsMediaType tells that a Content-Type is JSON's.
func IsMediaType(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

package egress

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Bounds of a request and its answer.
const (
	MaxBody      = 1 << 20  // bytes of either body; of the answer's, before and after it is decompressed
	maxHeaders   = 64       // headers of a request
	maxHeader    = 16 << 10 // bytes of all of them
	maxAnswer    = 64 << 10 // bytes of the headers of an answer
	maxRedirects = 5
)

// Request is what is asked. It is not changed.
type Request struct {
	Method string // as Methods has it
	URL    string
	Header http.Header
	Body   []byte
}

// Response is what was answered. Release it once its body is no longer held.
type Response struct {
	Status int
	Header http.Header
	Body   []byte

	release func()
}

// Release gives back the room of the body. It may be called again, and on a Response that somebody else made.
func (r *Response) Release() {
	if r.release != nil {
		r.release()
		r.release = nil
	}
}

// methods are those that may be asked with.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodOptions}

// forbidden are headers that belong to the connection and not to the request, or that decide who is asked.
var forbidden = []string{"Connection", "Content-Length", "Expect", "Host", "Http2-Settings", "Keep-Alive",
	"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// Check says what is wrong with a request, but for its URL.
func (r *Request) Check() error {
	if !slices.Contains(methods, r.Method) {
		return fmt.Errorf("method must be one of %s, not %q", strings.Join(methods, ", "), r.Method)
	}
	if len(r.Body) > MaxBody {
		return fmt.Errorf("body is longer than %d bytes", MaxBody)
	}
	count, size := 0, 0
	for name, values := range r.Header {
		for _, value := range values {
			count, size = count+1, size+len(name)+len(value)
			if err := checkHeader(name, value); err != nil {
				return err
			}
		}
	}
	if count > maxHeaders || size > maxHeader {
		return fmt.Errorf("headers are more than %d, or longer than %d bytes", maxHeaders, maxHeader)
	}
	return nil
}

func checkHeader(name, value string) error {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if name == "" || strings.Trim(name, token) != "" {
		return fmt.Errorf("headers: %q is no name of a header", name)
	}
	if slices.Contains(forbidden, http.CanonicalHeaderKey(name)) {
		return fmt.Errorf("headers: %s cannot be set", name)
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("headers: %s has a control character in its value", name)
		}
	}
	return nil
}

// Outcome is how a fetch ended; it is a metric's label.
type Outcome string

// Outcomes.
const (
	OK          Outcome = "ok"
	Refused     Outcome = "refused"     // host or address is not allowed, or the request is not valid
	Busy        Outcome = "busy"        // its time was over before it was its turn
	Breaker     Outcome = "breaker"     // the host did not answer of late
	Timeout     Outcome = "timeout"     // no answer in time
	Unreachable Outcome = "unreachable" // no such name, no connection, or it broke
	BadAnswer   Outcome = "bad_answer"  // what came is no HTTP, or cannot be decompressed
	Redirect    Outcome = "redirect"    // to elsewhere, or too many
	TooLarge    Outcome = "too_large"   // the body of the answer, or all bodies together
	Cancelled   Outcome = "cancelled"   // nobody waits for the answer any more
)

// Outcomes lists them.
func Outcomes() []Outcome {
	return []Outcome{OK, Refused, Busy, Breaker, Timeout, Unreachable, BadAnswer, Redirect, TooLarge, Cancelled}
}

// Error is why there is no answer. Its text is for the app.
type Error struct {
	Outcome Outcome
	Text    string
	err     error
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.err }

func failed(outcome Outcome, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{outcome, err.Error(), errors.Unwrap(err)}
}

// MisuseError is an error that the app's author, or who runs the node, has to mend: Fetch cannot work at all.
type MisuseError struct{ Text string }

func (e *MisuseError) Error() string { return e.Text }

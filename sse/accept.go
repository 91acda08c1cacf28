package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"rollcall/outbox"
	"rollcall/rawsock"
)

// ContentType is that of event streams.
const ContentType = "text/event-stream"

// retry is how long a client is asked to wait on average before it comes back.
const retry = 2 * time.Second

// answerTime bounds the write of an answer to a request that is no stream's.
const answerTime = 10 * time.Second

// Server accepts the event streams of one node. They are among its Sockets, and end with these.
type Server struct {
	sockets *outbox.Sockets
	count   atomic.Int64 // of open streams
}

// NewServer makes a server whose streams are among sockets.
func NewServer(sockets *outbox.Sockets) *Server { return &Server{sockets: sockets} }

// Options are the settings of one stream.
type Options struct {
	ID string
	// Heard gives the id of an event after which the client may resume at a point; "": it has none. It is called in the
	// order of events, under a lock, and must not block. nil: events have no ids.
	Heard func(*outbox.ResumePoint) string
	// Refuse answers a client that Handler.Open has refused.
	Refuse func(w http.ResponseWriter, status int, reason string)
}

var errBody = errors.New("an event stream takes no body")

// Accept takes over the socket of a GET request, for an answer with the header fields that w has got. Origin,
// authentication and limits are the caller's, before it. On an error the HTTP answer has been sent: 400 for a request
// with a body, or with bytes behind it, 500 when the socket cannot be taken over, 503 after Sockets.Close.
//
// The caller must call Start. The HTTP handler should then return: its stack and buffers are freed that way.
func (s *Server) Accept(w http.ResponseWriter, r *http.Request, o Options) (*Conn, error) {
	if s.sockets.IsClosed() {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return nil, outbox.ErrServerClosed
	}
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		http.Error(w, errBody.Error(), http.StatusBadRequest)
		return nil, errBody
	}
	header := w.Header().Clone()
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return nil, fmt.Errorf("take over the socket: %w", err)
	}
	_ = nc.SetDeadline(time.Time{})
	if rw.Reader.Buffered() > 0 {
		_ = nc.SetWriteDeadline(time.Now().Add(answerTime))
		_, _ = io.WriteString(nc, answer(header.Clone(), func(w http.ResponseWriter) {
			http.Error(w, errBody.Error(), http.StatusBadRequest)
		}))
		outbox.Abort(nc, false)
		return nil, errBody
	}
	nc = rawsock.Plain(nc)
	c := &Conn{s: s, waits: rawsock.Direct(nc)}
	c.stream = stream{heard: o.Heard, header: head(header.Clone()), refuse: func(status int, reason string) string {
		return answer(header, func(w http.ResponseWriter) { o.Refuse(w, status, reason) })
	}}
	if ping := s.sockets.Ping(); ping > 0 {
		giveUpAfter(socketOf(nc), 2*ping)
	}
	if err := s.sockets.Add(&c.Conn, nc, outbox.Options{ID: o.ID, Kind: &c.stream, Held: true}); err != nil {
		outbox.Abort(nc, true)
		return nil, err
	}
	s.count.Add(1)
	return c, nil
}

// head is what leaves first of a stream: the header, and how long to wait before coming back.
func head(fields http.Header) string {
	beginStream(fields)
	fields.Set("Connection", "close")
	var b strings.Builder
	writeHeader(&b, http.StatusOK, fields)
	b.WriteString(retryLine(retry))
	b.WriteString("\n")
	return b.String()
}

// beginStream sets the header fields of a stream; proxies are asked not to buffer, compress or keep it.
func beginStream(h http.Header) {
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
}

// retryLine asks for a wait of so long on average, so that not all come back at once.
func retryLine(d time.Duration) string {
	ms := d.Milliseconds()
	return "retry: " + strconv.FormatInt(ms/2+rand.Int64N(ms+1), 10) + "\n"
}

// comment is a farewell: a client does not see it, people may.
func comment(info outbox.CloseInfo) string {
	reason := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, info.Reason)
	return ": " + strings.TrimSpace(strconv.Itoa(info.Code)+" "+reason) + "\n\n"
}

// Wanted tells whether a request asks for an event stream in so many words, as browsers do.
func Wanted(r *http.Request) bool {
	for _, list := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(list, ",") {
			name, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), ContentType) {
				return true
			}
		}
	}
	return false
}

// Later answers a client that has come at a bad moment with a stream that ends at once, so that it comes back: a status
// would keep a browser away for good. status is that of the refusal, for people.
func Later(w http.ResponseWriter, wait time.Duration, status int, reason string) {
	beginStream(w.Header())
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, retryLine(max(wait, retry))+comment(outbox.CloseInfo{Code: status, Reason: reason}))
}

func writeHeader(b *strings.Builder, status int, fields http.Header) {
	fields.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	fmt.Fprintf(b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = fields.Write(b) // a Builder takes everything
	b.WriteString("\r\n")
}

// answer is a whole HTTP answer, as f writes it.
func answer(fields http.Header, f func(http.ResponseWriter)) string {
	w := &recorder{fields: fields, status: http.StatusOK}
	f(w)
	fields.Set("Connection", "close")
	fields.Set("Content-Length", strconv.Itoa(w.body.Len()))
	var b strings.Builder
	writeHeader(&b, w.status, fields)
	b.Write(w.body.Bytes())
	return b.String()
}

// recorder keeps an answer.
type recorder struct {
	fields http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.fields }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

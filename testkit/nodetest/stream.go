package nodetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Event is one event of a stream, as a browser's EventSource would make it.
type Event struct {
	Name, Data string
	ID         string // "": it has none of its own
}

// Stream is a client of an event stream. It reads only when it is asked for something.
type Stream struct {
	t      testing.TB
	Conn   net.Conn
	Header http.Header
	Retry  string // what the stream asked for, in ms
	Node   string // X-Rollcall-Node: which node it is

	Comments []string // that have come so far
	lines    *bufio.Reader
}

// OpenStream opens an event stream; header is "Name: value" lines. The connection is closed at the test's end.
func OpenStream(t testing.TB, addr, path string, header ...string) *Stream {
	t.Helper()
	s, resp := TryStream(t, addr, path, header...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(s.lines)
		t.Fatalf("%s: %s %v %s", path, resp.Status, resp.Header, body)
	}
	return s
}

// TryStream is OpenStream for requests that may be answered otherwise.
func TryStream(t testing.TB, addr, path string, header ...string) (*Stream, *http.Response) {
	t.Helper()
	return StreamBy(t, addr, streamRequest(addr, path, header...))
}

func streamRequest(addr, path string, header ...string) string {
	return strings.Join(append([]string{"GET " + path + " HTTP/1.1", "Host: " + addr}, header...), "\r\n") + "\r\n\r\n"
}

// StreamBy sends a request as it is, and reads the header of the answer.
func StreamBy(t testing.TB, addr, request string) (*Stream, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	nc, resp, err := dialStream(ctx, addr, request)
	if err != nil {
		t.Fatalf("%.200q: %v", request, err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return streamOf(t, nc, resp), resp
}

// dialStream sends a request on a connection of its own, and reads the header of the answer before ctx ends.
func dialStream(ctx context.Context, addr, request string) (nc net.Conn, resp *http.Response, err error) {
	nc, err = (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	if _, err = io.WriteString(nc, request); err == nil {
		resp, err = http.ReadResponse(bufio.NewReader(nc), nil)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = nc.Close()
	}
	return nc, resp, err
}

// RecordStream opens an event stream whose events go to take, on the reader's goroutine; at its end take gets none, and
// over. lastID is that of Last-Event-ID; "": none. Nothing fails a test, and the caller Drops it. It is for crowds, as
// Record is.
func RecordStream(ctx context.Context, addr, path, lastID string, take func(e Event, over bool)) (*Stream, error) {
	header := []string{"Accept: text/event-stream"}
	if lastID != "" {
		header = append(header, "Last-Event-ID: "+lastID)
	}
	nc, resp, err := dialStream(ctx, addr, streamRequest(addr, path, header...))
	if err == nil && resp.StatusCode != http.StatusOK {
		_ = nc.Close()
		err = errors.New(resp.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s := streamOf(nil, nc, resp)
	go func() {
		for {
			e, err := s.read()
			take(e, err != nil)
			if err != nil {
				_ = nc.Close()
				return
			}
		}
	}()
	return s, nil
}

func streamOf(t testing.TB, nc net.Conn, resp *http.Response) *Stream {
	return &Stream{t: t, Conn: nc, Header: resp.Header, Node: resp.Header.Get("X-Rollcall-Node"),
		lines: bufio.NewReader(resp.Body)}
}

// Drop breaks the connection.
func (s *Stream) Drop() { _ = s.Conn.Close() }

// Next gives the data of the next event.
func (s *Stream) Next() string {
	s.t.Helper()
	return s.NextEvent().Data
}

// Expect takes the next event, whose data must be this.
func (s *Stream) Expect(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if got := s.Next(); got != w {
			s.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

// NextEvent gives the next event.
func (s *Stream) NextEvent() Event {
	s.t.Helper()
	e, err := s.read()
	if err != nil {
		s.t.Fatalf("no event came: %v; comments %q", err, s.Comments)
	}
	return e
}

// End waits for the end of the stream, and gives the last comment. Events that come before it fail the test.
func (s *Stream) End() string {
	s.t.Helper()
	e, err := s.read()
	if err == nil {
		s.t.Fatalf("%+v came before the end", e)
	}
	if len(s.Comments) == 0 {
		return ""
	}
	return s.Comments[len(s.Comments)-1]
}

// Ping waits for a comment without text.
func (s *Stream) Ping() {
	s.t.Helper()
	for s.Comments = nil; ; {
		line, err := s.line()
		if err != nil {
			s.t.Fatalf("no ping came: %v", err)
		}
		if line == ":" {
			return
		}
	}
}

func (s *Stream) line() (string, error) {
	_ = s.Conn.SetReadDeadline(time.Now().Add(Timeout))
	line, err := s.lines.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// read reads up to the end of an event (WHATWG HTML, 9.2.6).
func (s *Stream) read() (e Event, err error) {
	var data []string
	for {
		line, err := s.line()
		if err != nil {
			return e, err
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data != nil:
			e.Data = strings.Join(data, "\n")
			return e, nil
		case line == "":
		case name == "":
			s.Comments = append(s.Comments, value)
		case name == "data":
			data = append(data, value)
		case name == "id":
			e.ID = value
		case name == "event":
			e.Name = value
		case name == "retry":
			s.Retry = value
		default:
			return e, fmt.Errorf("a field %q", line)
		}
	}
}

package hooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"rollcall/redisconn"
)

// sink takes requests.
type sink interface {
	// deliver returns nil once the sink has acknowledged the request; errGone: it wants no more; errLost: the claim is
	// over; errForgotten: what was delivered before is lost.
	deliver(ctx context.Context, c claim, r *request) error
	close()
}

// keeper is a sink that can tell whether it still has what it was told.
type keeper interface {
	// look returns errLost or errForgotten as deliver does.
	look(ctx context.Context, c claim) error
}

// claim is what a node has to a part of the hook's channels, for a while.
type claim struct {
	part string
	ends int64 // ms of Redis, at the earliest
	last acknowledged
}

// acknowledged are the ids of the requests that were acknowledged last; "": none is known.
type acknowledged struct {
	part string // of the part
	sync string // of the synchronisation before; "" during one
}

// errGone says that the sink has answered 410.
var errGone = errors.New("the sink answered 410 Gone")

// errForgotten says that a stream has lost entries: on a Redis Cluster it may lie on another master than the hook.
var errForgotten = errors.New("the stream has lost what was appended to it")

// appendTimeout is how long an append to a stream may take.
const appendTimeout = time.Second

// Bounds of an exchange with an HTTP sink.
const (
	requestTimeout = 5 * time.Second
	answerHeaders  = 16 << 10 // bytes
	answerBody     = 4 << 10  // bytes that are read of it, for the connection to be used again; the rest is left
)

// httpSink is a URL.
type httpSink struct {
	url    string
	keys   [][]byte
	agent  string
	client *http.Client
}

// newHTTPSink makes a sink. roots are what certificates are checked with; nil: the machine's. No proxy is asked, and no
// redirect is followed.
func newHTTPSink(h *Hook, agent string, roots *x509.CertPool) (*httpSink, error) {
	s := &httpSink{url: h.URL, agent: agent}
	for _, secret := range h.Secrets {
		key, err := Key(secret)
		if err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
		s.keys = append(s.keys, key)
	}
	s.client = &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: requestTimeout}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots},
			TLSHandshakeTimeout:    requestTimeout,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    perHook,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: answerHeaders,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

func (s *httpSink) deliver(ctx context.Context, _ claim, r *request) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(r.Body))
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	now := time.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.agent)
	req.Header["webhook-id"] = []string{r.ID} // names as the standard writes them
	req.Header["webhook-timestamp"] = []string{strconv.FormatInt(now.Unix(), 10)}
	req.Header["webhook-signature"] = []string{signature(s.keys, r.ID, now, r.Body)}
	resp, err := s.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, answerBody)
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil
	case resp.StatusCode == http.StatusGone:
		return errGone
	}
	return fmt.Errorf("the sink answered %d", resp.StatusCode)
}

// withoutURL takes the URL out of an error: it may hold a secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return fmt.Errorf("no answer within %v", requestTimeout)
		}
		return u.Err
	}
	return err
}

func (s *httpSink) close() { s.client.CloseIdleConnections() }

// streamSink is a Redis stream.
type streamSink struct {
	redis Redis
	hook  string
	keys  []string
}

// deliver appends what r tells. It is not cut off when the node ends: another node goes on with the part then, and what
// arrived behind that would be told twice.
func (s *streamSink) deliver(ctx context.Context, c claim, r *request) error {
	events, err := r.list()
	if err != nil {
		return err
	}
	return s.append(context.WithoutCancel(ctx), c, r.ID, events)
}

func (s *streamSink) look(ctx context.Context, c claim) error { return s.append(ctx, c, "", nil) }

// append only looks when id is "".
func (s *streamSink) append(ctx context.Context, c claim, id string, events []json.RawMessage) error {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	args := []any{s.hook, c.part, c.ends, c.last.part, c.last.sync, id}
	for _, e := range events {
		args = append(args, string(e))
	}
	res, err := s.redis.Run(ctx, appendScript, s.keys, args...)
	switch {
	case err != nil:
		return fmt.Errorf("append to the stream: %w", err)
	case res == int64(1):
		return nil
	case res == int64(-1):
		return errForgotten
	}
	return errLost
}

func (s *streamSink) close() {}

// Redis is what hooks need of Redis.
type Redis interface {
	Keys() redisconn.Keys
	Run(ctx context.Context, s *redisconn.Script, keys []string, args ...any) (any, error)
	Do(ctx context.Context, args ...any) (any, error)
}

package egress

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"

	"rollcall/metrics"
)

// MaxTimeout is how long a fetch takes at most, waiting for its turn included.
const MaxTimeout = 10 * time.Second

// Config is what a Client is built from.
type Config struct {
	Allow    Allow
	InFlight int            // fetches at a time, the others wait; 0: 1,000
	Held     int64          // bytes of the bodies of answers that are held at a time; 0: 64 MiB
	Agent    string         // the header User-Agent of requests that have none; "": net/http's
	Resolver *net.Resolver  // of names; nil: the machine's
	Roots    *x509.CertPool // that certificates are checked with; nil: the machine's
}

// Client makes requests. All methods may be called from any goroutine.
type Client struct {
	// Static.
	cfg       Config
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	transport *http.Transport
	http      *http.Client

	slots    *semaphore.Weighted
	breakers breakers
	waiting  atomic.Int64
	inFlight atomic.Int64
	held     atomic.Int64 // bytes of bodies
	counts   map[Outcome]*atomic.Int64
}

// New makes a Client. Close it when it is no longer needed.
func New(cfg Config) *Client {
	if cfg.InFlight == 0 {
		cfg.InFlight = 1000
	}
	if cfg.Held == 0 {
		cfg.Held = 64 << 20
	}
	c := &Client{cfg: cfg, slots: semaphore.NewWeighted(int64(cfg.InFlight)), counts: map[Outcome]*atomic.Int64{}}
	for _, o := range Outcomes() {
		c.counts[o] = &atomic.Int64{}
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	dialer := &net.Dialer{Control: c.mayDial, Resolver: cfg.Resolver, Timeout: MaxTimeout}
	c.transport = &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots},
		TLSHandshakeTimeout:    MaxTimeout,
		DisableCompression:     true, // readBody does it, within its bounds
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxAnswer,
		ReadBufferSize:         2 << 10,
		WriteBufferSize:        2 << 10,
	}
	c.http = &http.Client{Transport: c.transport, CheckRedirect: c.mayFollow}
	return c
}

// Close ends all fetches, and the connections that are kept for later. A Fetch that begins afterwards is Cancelled.
func (c *Client) Close() {
	c.cancel()
	c.transport.CloseIdleConnections()
}

// mayDial is asked about each address before a connection to it is made, after its name was resolved.
func (c *Client) mayDial(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !c.cfg.Allow.dial(at) {
		return failed(Refused, "the host has the address %s, which is not on the list of --http-allow", address)
	}
	return nil
}

// mayFollow is asked about each redirect.
func (c *Client) mayFollow(next *http.Request, before []*http.Request) error {
	if len(before) > maxRedirects {
		return failed(Redirect, "more than %d redirects", maxRedirects)
	}
	t, err := c.cfg.Allow.target(next.URL.String())
	first, err1 := c.cfg.Allow.target(before[0].URL.String())
	if err != nil || err1 != nil || t.key != first.key {
		return failed(Redirect, "it redirects to another host or port")
	}
	return nil
}

// Fetch makes a request. It ends with ctx, at the latest after MaxTimeout. Its error is an *Error, or a *MisuseError
// when no host is allowed at all.
func (c *Client) Fetch(ctx context.Context, r *Request) (*Response, error) {
	if c.cfg.Allow.Empty() {
		return nil, &MisuseError{"no host may be asked: name those that may with --http-allow (ROLLCALL_HTTP_ALLOW)"}
	}
	resp, err := c.fetch(ctx, r)
	outcome := OK
	if err != nil {
		outcome = err.Outcome
	}
	c.counts[outcome].Add(1)
	if err != nil {
		return nil, err
	}
	return resp, nil
}

func (c *Client) fetch(ctx context.Context, r *Request) (*Response, *Error) {
	if err := r.Check(); err != nil {
		return nil, failed(Refused, "%w", err)
	}
	t, err := c.cfg.Allow.target(r.URL)
	if err != nil {
		return nil, failed(Refused, "%w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, MaxTimeout)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)() // which takes it back
	c.waiting.Add(1)
	err = c.slots.Acquire(ctx, 1)
	c.waiting.Add(-1)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, failed(Busy, "timeout: %d others are under way", c.cfg.InFlight)
	case err != nil:
		return nil, failed(Cancelled, "given up")
	}
	defer c.slots.Release(1)
	done, err := c.breakers.allow(t.key)
	if err != nil {
		return nil, err.(*Error)
	}
	c.inFlight.Add(1)
	defer c.inFlight.Add(-1)
	resp, failure := c.ask(ctx, t.url, r)
	done(verdict(failure))
	return resp, failure
}

// verdict is what a breaker is told of a fetch.
func verdict(e *Error) error {
	switch {
	case e == nil:
	case e.Outcome == Timeout, e.Outcome == Unreachable, e.Outcome == BadAnswer:
		return errNoAnswer
	case e.Outcome == Cancelled, e.Outcome == Refused:
		return errGivenUp
	}
	return nil
}

// ask makes the request and reads what is answered.
func (c *Client) ask(ctx context.Context, u *url.URL, r *Request) (*Response, *Error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, failed(Refused, "the request is not valid: %w", err)
	}
	req.Header = http.Header{}
	for name, values := range r.Header {
		for _, v := range values {
			req.Header.Add(name, v)
		}
	}
	if req.Header.Get("User-Agent") == "" && c.cfg.Agent != "" {
		req.Header.Set("User-Agent", c.cfg.Agent)
	}
	decompress := req.Header.Get("Accept-Encoding") == "" && r.Method != http.MethodHead
	if decompress {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, reason(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return nil, failed(BadAnswer, "it answers 101, which was not asked for")
	}
	out := &Response{Status: answer.StatusCode, Header: answer.Header}
	var body io.Reader = &limited{answer.Body, MaxBody}
	if decompress && strings.EqualFold(answer.Header.Get("Content-Encoding"), "gzip") && answer.ContentLength != 0 {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, reason(ctx, err)
		}
		out.Header.Del("Content-Encoding")
		out.Header.Del("Content-Length")
	}
	held := 0
	out.release = func() { c.held.Add(-int64(held)) }
	if out.Body, err = c.readBody(body, &held); err != nil {
		out.Release()
		return nil, reason(ctx, err)
	}
	return out, nil
}

// reason makes the Error of what went wrong on the way.
func reason(ctx context.Context, err error) *Error {
	var own *Error
	var name *net.DNSError
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &Error{Timeout, "timeout", err}
	case ctx.Err() != nil:
		return &Error{Cancelled, "given up", err}
	case errors.As(err, &name):
		return &Error{Unreachable, "the name " + name.Name + " cannot be resolved", err}
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum),
		strings.Contains(err.Error(), "malformed"), strings.Contains(err.Error(), "flate:"):
		return &Error{BadAnswer, "the answer is not valid", err}
	}
	var op *net.OpError
	var sys syscall.Errno
	switch {
	case errors.As(err, &sys):
		return &Error{Unreachable, "no connection: " + sys.Error(), err}
	case errors.As(err, &op):
		return &Error{Unreachable, "no connection", err}
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &Error{Unreachable, "no answer: " + err.Error(), err}
}

// Measure tells metrics of fetches.
func (c *Client) Measure(to metrics.Scrape) {
	to.Gauge("rollcall_fetches_in_flight", "Fetches of handlers (http.fetch) that are under way.",
		float64(c.inFlight.Load()))
	to.Gauge("rollcall_fetches_waiting", "Fetches that wait while too many others are under way.",
		float64(c.waiting.Load()))
	to.Gauge("rollcall_fetch_body_bytes", "Bytes of answers that wait to be taken by handlers.", float64(c.held.Load()))
	to.Gauge("rollcall_fetch_breakers_open", "Hosts that are left alone since they did not answer.",
		float64(c.breakers.open()))
	for _, o := range Outcomes() {
		to.Counter("rollcall_fetches_total", "Fetches of handlers by how they ended.", float64(c.counts[o].Load()),
			"outcome", string(o))
	}
}

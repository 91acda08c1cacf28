package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the fetching of a JWKS.
const (
	fetchTimeout = 5 * time.Second  // of one fetch, the body included
	fetchSoonest = 10 * time.Second // between two fetches that unknown kids have asked for
	fetchWait    = 3 * time.Second  // that a token with an unknown kid waits for one
	fetchRetry   = time.Second      // after the first failure; doubles up to fetchRetryMax
	fetchMaxBody = 1 << 20
	maxWaiting   = 1024 // tokens that wait; more are refused at once

	fetchRetryMax = time.Minute
	maxRedirects  = 3
)

// jwks holds the keys that a server publishes, and one goroutine that fetches them anew: from time to time, and when a
// token names a key that is not known.
//
//	        every (10 min) over, or asked        answer with usable keys
//	idle ────────────────────────────▶ fetching ─────────────────────────▶ idle, new keys
//	 ▲                                    │ anything else
//	 └──── 1 s, 2 s, … 1 min over, ◀──────┘ the old keys stay, however long
//	       or asked
//
// There is one fetch at a time, and at most one in fetchSoonest that tokens asked for. So a key that its issuer uses
// the moment it publishes it may be refused for up to fetchSoonest; issuers publish earlier.
type jwks struct {
	// Static after newJWKS.
	url    *url.URL
	every  time.Duration
	client *http.Client
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{} // closed when run has ended
	ask    chan struct{} // capacity 1: a fetch is wanted

	keys atomic.Pointer[keySet] // never nil

	mu      sync.Mutex
	round   chan struct{} // closed when the fetch that was asked for or is running has ended; nil: none
	began   time.Time     // when the last fetch began
	fetched time.Time     // when the last good one ended; zero: never
	failed  int           // fetches in a row that have failed
	waiting int           // tokens that wait for round
	closed  bool
}

// newJWKS fetches the keys, for fetchTimeout at most, and begins to follow them. That the first fetch fails is no
// error: it is logged and tried again.
func newJWKS(ctx context.Context, cfg Config) *jwks {
	u, _ := url.Parse(cfg.JWKSURL) // validate has read it
	j := &jwks{
		url:   u,
		every: cfg.JWKSEvery,
		client: &http.Client{
			Transport: cfg.Transport,
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				if len(via) > maxRedirects {
					return errors.New("too many redirects")
				}
				if u.Scheme == "https" && r.URL.Scheme != "https" {
					return errors.New("redirected away from https")
				}
				return checkJWKSURL(r.URL, cfg.JWKSInsecure)
			},
		},
		log:  cfg.Log,
		done: make(chan struct{}),
		ask:  make(chan struct{}, 1),
	}
	j.keys.Store(newKeySet(nil))
	j.begin()
	j.finish(j.fetch(ctx))
	ctx, j.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go j.run(ctx)
	return j
}

// close returns when the goroutine has ended. The keys stay.
func (j *jwks) close() {
	j.cancel()
	<-j.done
}

func (j *jwks) run(ctx context.Context) {
	defer close(j.done)
	for j.pause(ctx) {
		j.begin()
		set, ignored, err := j.fetch(ctx)
		if ctx.Err() != nil {
			break
		}
		j.finish(set, ignored, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.endRoundLocked()
}

// pause waits for the next fetch; false: closed.
func (j *jwks) pause(ctx context.Context) bool {
	j.mu.Lock()
	d := nextFetch(j.failed, j.every, rand.Float64())
	j.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-j.ask:
	}
	return ctx.Err() == nil
}

// nextFetch is how long to wait after failed failures in a row; random, from 0 to 1, spreads nodes that began together.
func nextFetch(failed int, every time.Duration, random float64) time.Duration {
	if failed == 0 {
		return time.Duration(float64(every) * (0.9 + 0.2*random))
	}
	d := min(fetchRetry<<min(failed-1, 10), fetchRetryMax, every)
	return time.Duration(float64(d) * (0.5 + 0.5*random))
}

func (j *jwks) begin() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.round == nil {
		j.round = make(chan struct{})
	}
	select {
	case <-j.ask: // this fetch answers it
	default:
	}
	j.began = time.Now()
}

// finish takes over what a fetch has brought and lets the waiting go on.
func (j *jwks) finish(set *keySet, ignored int, err error) {
	if err == nil {
		j.keys.Store(set)
	}
	j.mu.Lock()
	had, failed := !j.fetched.IsZero(), j.failed
	if err == nil {
		j.failed, j.fetched = 0, time.Now()
	} else {
		j.failed++
	}
	j.endRoundLocked()
	j.mu.Unlock()

	switch {
	case err != nil && had:
		j.log.Warn("JWKS not fetched, the keys of before go on working", "url", j.url.Redacted(), "failures", failed+1,
			"error", err)
	case err != nil:
		j.log.Warn("JWKS not fetched, its tokens are refused until it is", "url", j.url.Redacted(), "failures", failed+1,
			"error", err)
	case !had || failed > 0:
		j.log.Info("JWKS fetched", "url", j.url.Redacted(), "keys", len(set.keys), "ignored", ignored)
	}
}

func (j *jwks) endRoundLocked() {
	if j.round != nil {
		close(j.round)
		j.round = nil
	}
}

// fetch gets the key set once.
func (j *jwks) fetch(ctx context.Context) (set *keySet, ignored int, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url.String(), nil)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch JWKS: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := j.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the address is in the log line already
		}
		return nil, 0, fmt.Errorf("fetch JWKS: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("fetch JWKS: status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, fetchMaxBody+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read JWKS: %w", err)
	}
	if len(body) > fetchMaxBody {
		return nil, 0, fmt.Errorf("read JWKS: longer than %d bytes", fetchMaxBody)
	}
	set, ignored, err = parseJWKS(body)
	if err != nil {
		return nil, 0, fmt.Errorf("read JWKS: %w", err)
	}
	return set, ignored, nil
}

// renew asks for a fetch and waits for it, unless one has been too recently or too many wait. The caller looks at the
// keys again in any case.
func (j *jwks) renew(ctx context.Context) {
	j.mu.Lock()
	if j.closed || j.waiting >= maxWaiting || j.round == nil && time.Since(j.began) < fetchSoonest {
		j.mu.Unlock()
		return
	}
	if j.round == nil {
		j.round = make(chan struct{})
		select {
		case j.ask <- struct{}{}:
		default: // asked for already
		}
	}
	round := j.round
	j.waiting++
	j.mu.Unlock()

	t := time.NewTimer(fetchWait)
	select {
	case <-round:
	case <-t.C:
	case <-ctx.Done():
	}
	t.Stop()
	j.mu.Lock()
	j.waiting--
	j.mu.Unlock()
}

// JWKSStatus is how the following of a JWKS goes, for metrics.
type JWKSStatus struct {
	Keys     int       // usable ones, at work now
	Fetched  time.Time // when they came; zero: never
	Failures int       // fetches in a row that have failed since
}

func (j *jwks) status() JWKSStatus {
	j.mu.Lock()
	defer j.mu.Unlock()
	return JWKSStatus{Keys: len(j.keys.Load().keys), Fetched: j.fetched, Failures: j.failed}
}

// checkJWKSURL wants https, since who can change the answer can sign tokens; http is for this machine.
func checkJWKSURL(u *url.URL, insecure bool) error {
	switch {
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("not the URL of a key set: give one such as https://issuer.example/.well-known/jwks.json")
	case u.Scheme == "http" && !insecure && !loopbackHost(u.Hostname()):
		return errors.New("http would let anybody on the way sign tokens: give an https URL")
	}
	return nil
}

func loopbackHost(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// newTransport makes connections that end with their fetch.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: fetchTimeout}).DialContext,
		TLSHandshakeTimeout:    fetchTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives:      true,
	}
}

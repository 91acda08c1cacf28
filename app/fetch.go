package app

import (
	"context"
	"errors"
	"time"

	"rollcall/egress"
)

// Bounds of http.fetch besides those of egress (SPEC 11).
const (
	defaultTimeout = 5 * time.Second
	// fetchesAtOnce is how many of one connection are under way at a time; one more waits.
	fetchesAtOnce = 4
	// fetchesBegun is how many of one connection may be begun and not taken yet.
	fetchesBegun = 16
)

// Fetcher makes the requests of http.fetch; *egress.Client is one.
type Fetcher interface {
	// Fetch ends with ctx. An *egress.MisuseError is raised in the handler, other errors are its second result.
	Fetch(ctx context.Context, r *egress.Request) (*egress.Response, error)
}

// FetcherFunc is a Fetcher.
type FetcherFunc func(ctx context.Context, r *egress.Request) (*egress.Response, error)

// Fetch is Fetcher's.
func (f FetcherFunc) Fetch(ctx context.Context, r *egress.Request) (*egress.Response, error) {
	return f(ctx, r)
}

// nowhere is the Fetcher of a Server that was given none.
type nowhere struct{}

func (nowhere) Fetch(context.Context, *egress.Request) (*egress.Response, error) {
	return nil, &egress.MisuseError{Text: "this node makes no requests"}
}

// fetches are those of one turn, or of one connection script. They belong to its goroutine.
type fetches struct {
	slots chan struct{}       // of those under way
	begun map[*fetch]struct{} // and not taken yet
}

// fetch is one request. It has a goroutine while it is under way.
type fetch struct {
	url    string
	cancel context.CancelFunc
	done   chan struct{} // closed when the two below are there
	answer *egress.Response
	err    error
}

// Why there is no answer.
var (
	errTooManyFetches = errors.New("too many fetches are begun and not taken")
	errTurnIsOver     = errors.New("the turn that began the fetch is over")
)

// begin sends a request on its way. The error says that too many are.
func (fs *fetches) begin(ctx context.Context, by Fetcher, r *egress.Request, timeout time.Duration) (*fetch, error) {
	if len(fs.begun) >= fetchesBegun {
		return nil, errTooManyFetches
	}
	if fs.slots == nil {
		fs.slots, fs.begun = make(chan struct{}, fetchesAtOnce), map[*fetch]struct{}{}
	}
	f := &fetch{url: r.URL, done: make(chan struct{})}
	ctx, f.cancel = context.WithTimeout(ctx, timeout)
	fs.begun[f] = struct{}{}
	slots := fs.slots // fs itself moves while its turn is parked
	go func() {
		defer close(f.done)
		select {
		case slots <- struct{}{}:
			f.answer, f.err = by.Fetch(ctx, r)
			<-slots
		case <-ctx.Done():
			f.err = &egress.Error{Outcome: egress.Busy, Text: "timeout: four others of this connection are under way"}
		}
	}()
	return f, nil
}

// take waits for a fetch and gives its result. Its answer is to be released.
func (fs *fetches) take(f *fetch) (*egress.Response, error) {
	<-f.done
	f.cancel()
	delete(fs.begun, f)
	return f.answer, f.err
}

// close ends all that nobody has taken, and waits for their goroutines.
func (fs *fetches) close() {
	for f := range fs.begun {
		f.cancel()
	}
	for f := range fs.begun {
		if answer, _ := fs.take(f); answer != nil {
			answer.Release()
		}
		f.answer, f.err = nil, errTurnIsOver // a coroutine may be kept beyond its turn
	}
}

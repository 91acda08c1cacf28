package apptest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/egress"
	"rollcall/luavm"
)

// fetches is what a case answers to http.fetch.
type fetches struct {
	// idle holds a token while the goroutine of the case waits, so that another may use the VM.
	idle      chan struct{}
	answering bool // a function of t.fetch runs; owned by who has the VM

	mu    sync.Mutex
	stubs []stub   // the last one that fits counts
	lost  []string // requests that none fits
}

// stub answers requests to a URL, or with * at its end to all that begin so.
type stub struct {
	pattern string
	answer  fetchAnswer
	fn      *lua.LFunction // which answers; nil: answer does
}

// fetchAnswer is what a handler gets: a response, or why there is none.
type fetchAnswer struct {
	status int
	header http.Header
	body   string
	why    string // "": there is a response
	delay  time.Duration
}

func (s stub) fits(url string) bool {
	prefix, all := strings.CutSuffix(s.pattern, "*")
	return url == s.pattern || all && strings.HasPrefix(url, prefix)
}

// t.fetch(url, answer, why), t.fetch(url, function)
func (r *caseRun) stub(a args) int {
	s := stub{pattern: a.text(1, "url")}
	if fn, ok := a.l.Get(2).(*lua.LFunction); ok {
		s.fn = fn
	} else {
		s.answer = a.fetchAnswer(2)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stubs = append(r.stubs, s)
	return 0
}

// fetchAnswer reads an answer: a table, or nil and why.
func (a args) fetchAnswer(i int) fetchAnswer {
	if a.l.Get(i) == lua.LNil {
		why, ok := a.l.Get(i + 1).(lua.LString)
		if !ok || why == "" {
			a.fail("there is no answer: give a table, a function, or nil and why")
		}
		return fetchAnswer{why: string(why)}
	}
	o := a.options(i, "status", "headers", "body", "json", "delay")
	out := fetchAnswer{status: http.StatusOK, header: http.Header{}}
	whole := func(name string, least, most lua.LNumber) int {
		n, ok := o.get(name).(lua.LNumber)
		if !ok || n < least || n > most || n != lua.LNumber(int(n)) {
			a.fail("%s must be a whole number from %v to %v", name, least, most)
		}
		return int(n)
	}
	if o.get("status") != lua.LNil {
		out.status = whole("status", 100, 599)
	}
	if o.get("delay") != lua.LNil {
		out.delay = time.Duration(whole("delay", 0, lua.LNumber(longest/time.Millisecond))) * time.Millisecond
	}
	switch t := o.get("headers").(type) {
	case *lua.LNilType:
	case *lua.LTable:
		t.ForEach(func(k, v lua.LValue) { out.header.Set(k.String(), v.String()) })
	default:
		a.fail("headers must be a table")
	}
	switch v := o.get("body").(type) {
	case *lua.LNilType:
	case lua.LString:
		out.body = string(v)
	default:
		a.fail("body must be a string; json takes any value")
	}
	if v := o.get("json"); v != lua.LNil {
		text, err := luavm.Of(a.l).EncodeText(a.l, v)
		a.check(err)
		out.body = string(text)
		if out.header.Get("Content-Type") == "" {
			out.header.Set("Content-Type", "application/json")
		}
	}
	if len(out.body) > egress.MaxBody {
		a.fail("a body has at most %d bytes", egress.MaxBody)
	}
	return out
}

// answerFetch is http.fetch of the nodes. It is called from their goroutines.
func (r *caseRun) answerFetch(ctx context.Context, q *egress.Request) (*egress.Response, error) {
	var found *stub
	r.mu.Lock()
	for i := range r.stubs {
		if r.stubs[i].fits(q.URL) {
			found = &r.stubs[i]
		}
	}
	if found == nil {
		r.lost = append(r.lost, q.Method+" "+q.URL)
	}
	r.mu.Unlock()
	if found == nil {
		return nil, &egress.MisuseError{Text: "no t.fetch of the case answers " + q.Method + " " + q.URL}
	}
	answer, err := found.answer, error(nil)
	if found.fn != nil {
		if answer, err = r.callStub(ctx, found.fn, q); err != nil {
			return nil, &egress.MisuseError{Text: err.Error()}
		}
	}
	timer := time.NewTimer(answer.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, &egress.Error{Outcome: egress.Timeout, Text: "timeout"}
	}
	if answer.why != "" {
		return nil, &egress.Error{Outcome: egress.Unreachable, Text: answer.why}
	}
	return &egress.Response{Status: answer.status, Header: answer.header, Body: []byte(answer.body)}, nil
}

// callStub runs a function of t.fetch on the VM of the case, whose own goroutine waits meanwhile.
func (r *caseRun) callStub(ctx context.Context, fn *lua.LFunction, q *egress.Request) (out fetchAnswer, err error) {
	select {
	case <-r.idle:
	case <-ctx.Done():
		return out, fmt.Errorf("the function of t.fetch for %s was not called, since the test itself asks: give a table", q.URL)
	}
	r.answering = true
	defer func() {
		r.answering = false
		r.idle <- struct{}{}
	}()
	_, err = r.vm.Call(luavm.Func(func(l *lua.LState) int {
		l.Push(fn)
		l.Push(requestTable(l, q))
		l.Call(1, 2)
		out = args{l, "t.fetch: its function"}.fetchAnswer(l.GetTop() - 1)
		return 0
	}))
	return out, err
}

// requestTable is what a function of t.fetch gets: {method, url, headers, body, json}.
func requestTable(l *lua.LState, q *egress.Request) *lua.LTable {
	headers := luavm.NewObject(len(q.Header))
	for name, values := range q.Header {
		headers.Set(strings.ToLower(name), lua.LString(strings.Join(values, ", ")))
	}
	o := luavm.NewObject(5)
	o.Set("method", lua.LString(q.Method))
	o.Set("url", lua.LString(q.URL))
	o.Set("headers", headers.Table())
	o.Set("body", lua.LString(q.Body))
	if strings.Contains(q.Header.Get("Content-Type"), "json") {
		o.Set("json", decodeBody(l, string(q.Body)))
	}
	return o.Table()
}

// unanswered fails a case whose handlers asked for what it does not answer, also when they made the best of it.
func (r *caseRun) unanswered() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lost) == 0 {
		return nil
	}
	return fmt.Errorf("http.fetch asked for %s, and no t.fetch answers it", r.lost[0])
}

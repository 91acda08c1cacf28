package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"rollcall/broker"
	"rollcall/redisconn"
)

// Messages on t:node:<process> are texts of fields parted by spaces, the body last:
//
//	e                              this node's own echo
//	o <kind> <body>                one way: no answer
//	q <id> <from process> <kind> <body>   a question
//	a <id> <from process> <body>   its answer
//
// askWait is how long a question waits for answers (SPEC 2: cluster-wide reads answer within 1 s).
const askWait = 900 * time.Millisecond

// maxAnswering bounds the questions a node answers at once; beyond it a question is dropped, and the asker names this
// node as silent.
const maxAnswering = 64

// answerBytes bounds what of answers is on its way to Redis at once, so that many long ones do not overflow the askers'
// subscriptions; one alone may be longer. An answer that waits for the others until its asker has given up is dropped.
const answerBytes = 4 << 20

// maxAsking bounds the questions a node has open at once; beyond it callers wait for a place as long as for an answer.
const maxAsking = 256

// dropTold is the least time between two lines of the log about dropped questions.
const dropTold = 10 * time.Second

// Answerer handles what other nodes send. OneWay runs on the reception goroutine, in order, and must not wait.
type Answerer interface {
	OneWay(kind, body string)
	Answer(ctx context.Context, kind, body string) (string, error)
}

// calls carries messages from node to node.
type calls struct {
	c       *Cluster
	handler Answerer // set before Start

	ctx    context.Context // ends with close; answers run under it
	cancel context.CancelFunc
	slots  chan struct{}       // of answering
	bytes  *semaphore.Weighted // of answers on their way
	asking chan struct{}
	done   sync.WaitGroup

	mu      sync.Mutex
	told    time.Time // of a dropped question
	closed  bool
	lastID  uint64
	waiting map[string]chan answer
}

type answer struct{ from, body string }

func newCalls(c *Cluster) *calls {
	ctx, cancel := context.WithCancel(context.Background())
	return &calls{c: c, ctx: ctx, cancel: cancel, slots: make(chan struct{}, maxAnswering),
		bytes:  semaphore.NewWeighted(answerBytes),
		asking: make(chan struct{}, maxAsking), waiting: map[string]chan answer{}}
}

// Handle sets what answers other nodes. It is called before Start.
func (c *Cluster) Handle(h Answerer) { c.calls.handler = h }

func (s *calls) close() {
	s.c.cfg.Broker.Unsubscribe(s.c.keys.NodeTopic(s.c.cfg.Process), s)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.done.Wait()
}

// Resubscribed needs nothing: lost questions time out.
func (s *calls) Resubscribed() {}

// Receive takes one message from the broker.
func (s *calls) Receive(payload string) {
	tag, rest, _ := strings.Cut(payload, " ")
	switch tag {
	case "e":
		s.c.echo.Store(int64(time.Since(s.c.began)))
	case "o":
		kind, body, _ := strings.Cut(rest, " ")
		s.handler.OneWay(kind, body)
	case "q":
		s.question(rest)
	case "a":
		id, rest, _ := strings.Cut(rest, " ")
		from, body, _ := strings.Cut(rest, " ")
		s.mu.Lock()
		ch := s.waiting[id]
		s.mu.Unlock()
		if ch != nil {
			select {
			case ch <- answer{from, body}:
			default: // more answers than nodes were asked
			}
		}
	}
}

func (s *calls) question(text string) {
	part := strings.SplitN(text, " ", 4)
	if len(part) != 4 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		s.dropLocked(part[1])
		return
	}
	s.done.Go(func() {
		defer func() { <-s.slots }()
		ctx, cancel := context.WithTimeout(s.ctx, askWait)
		defer cancel()
		body, err := s.handler.Answer(ctx, part[2], part[3])
		if err == nil {
			err = s.answer(ctx, part[0], part[1], body)
		}
		if err != nil && s.ctx.Err() == nil {
			s.c.cfg.Log.Warn("answer another node failed", "kind", part[2], "to", part[1], "error", err)
		}
	})
}

// answer publishes an answer, once there is room for it.
func (s *calls) answer(ctx context.Context, id, to, body string) error {
	size := min(int64(len(body)), answerBytes)
	if s.bytes.Acquire(ctx, size) != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.dropLocked(to)
		return nil
	}
	defer s.bytes.Release(size)
	return s.c.cfg.Broker.Publish(ctx, s.c.keys.NodeTopic(to), []byte("a "+id+" "+s.c.cfg.Process+" "+body))
}

// dropLocked notes that a question of a node gets no answer.
func (s *calls) dropLocked(from string) {
	s.c.stats.Dropped.Add(1)
	if now := time.Now(); now.Sub(s.told) >= dropTold {
		s.told = now
		s.c.cfg.Log.Warn("too many questions from other nodes; some are dropped", "from", from)
	}
}

func (s *calls) sendEcho(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.c.cfg.Broker.Publish(ctx, s.c.keys.NodeTopic(s.c.cfg.Process), []byte("e")); err != nil &&
		ctx.Err() == nil {
		s.c.cfg.Log.Warn("send echo failed", "error", err)
	}
}

// Send passes a message to one node without waiting for it. Messages to one node from one goroutine arrive in order.
func (c *Cluster) Send(ctx context.Context, process, kind, body string) error {
	if process == c.cfg.Process {
		c.calls.handler.OneWay(kind, body)
		return nil
	}
	if err := c.cfg.Broker.Publish(ctx, c.keys.NodeTopic(process), []byte("o "+kind+" "+body)); err != nil {
		return fmt.Errorf("send to node %s: %w", process, err)
	}
	return nil
}

// Ask puts a question to every node that is in the registry now, this one included. It gives what answered within a
// second, by process, and names the nodes that did not.
func (c *Cluster) Ask(ctx context.Context, kind, body string) (answers map[string]string, silent []string, err error) {
	began := time.Now()
	processes, err := c.processes(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("ask the nodes: %w", err)
	}
	return c.ask(ctx, began.Add(askWait), processes, kind, body)
}

// AskOne puts a question to one node. answered is false when it did not answer within a second.
func (c *Cluster) AskOne(ctx context.Context, process, kind, body string) (answer string, answered bool, err error) {
	answers, _, err := c.ask(ctx, time.Now().Add(askWait), []string{process}, kind, body)
	if err != nil {
		return "", false, err
	}
	answer, answered = answers[process]
	return answer, answered, nil
}

// ask puts a question to all these nodes at once.
func (c *Cluster) ask(ctx context.Context, deadline time.Time, processes []string, kind,
	body string) (answers map[string]string, silent []string, err error) {
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case c.calls.asking <- struct{}{}:
		defer func() { <-c.calls.asking }()
	case <-timeout.C:
		c.stats.Refused.Add(1)
		return nil, nil, fmt.Errorf("ask the nodes: %w: too many questions at once", redisconn.ErrUnavailable)
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("ask the nodes: %w: %w", redisconn.ErrUnavailable, ctx.Err())
	}
	answers = make(map[string]string, len(processes))
	id, ch := c.calls.expect(len(processes))
	defer c.calls.forget(id)
	want := map[string]bool{}
	question := []byte("q " + id + " " + c.cfg.Process + " " + kind + " " + body)
	var messages []broker.Message
	for _, p := range processes {
		if p != c.cfg.Process {
			want[p] = true
			messages = append(messages, broker.Message{Topic: c.keys.NodeTopic(p), Payload: question})
		}
	}
	if len(messages) > 0 {
		if err := c.cfg.Broker.PublishMany(ctx, messages); err != nil {
			return nil, nil, fmt.Errorf("ask the nodes: %w", err)
		}
	}
	if len(want) < len(processes) {
		if answers[c.cfg.Process], err = c.calls.handler.Answer(ctx, kind, body); err != nil {
			return nil, nil, err
		}
	}
	for len(want) > 0 {
		select {
		case a := <-ch:
			if want[a.from] {
				delete(want, a.from)
				answers[a.from] = a.body
			}
			continue
		case <-timeout.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, nil, ctx.Err()
			}
		}
		break
	}
	for p := range want {
		silent = append(silent, p)
	}
	return answers, silent, nil
}

func (s *calls) expect(n int) (id string, ch chan answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	id = strconv.FormatUint(s.lastID, 36)
	ch = make(chan answer, n+1)
	s.waiting[id] = ch
	return id, ch
}

func (s *calls) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, id)
}

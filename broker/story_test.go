package broker

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories under testdata print as what is expected")

// runStories runs every file of testdata/dir: blocks of one command a line, then ----, then the
// expected output, divided by blank lines. fresh makes one story's interpreter.
func runStories(t *testing.T, dir string, fresh func(t *testing.T) func(words []string) string) {
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			command := fresh(t)
			var out []string
			for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
				script, want, isStep := strings.Cut(block, "\n----")
				if !isStep {
					out = append(out, block) // a comment
					continue
				}
				var got strings.Builder
				for line := range strings.Lines(script) {
					if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
						got.WriteString(command(strings.Fields(line)))
					}
				}
				result := strings.TrimRight(got.String(), "\n")
				if result != strings.TrimPrefix(want, "\n") && !*rewrite {
					t.Errorf("%s\nprinted\n%s\nwant%s", script, result, want)
				}
				out = append(out, strings.TrimRight(script+"\n----\n"+result, "\n"))
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// actor is a receiver that writes down its calls.
type actor struct {
	name  string
	story *linkStory
}

func (a *actor) Receive(payload string) { a.story.say("%s receives %s", a.name, payload) }
func (a *actor) Resubscribed()          { a.story.say("%s is resubscribed", a.name) }

// linkStory plays a link without a connection: the test is Redis.
type linkStory struct {
	l      *link
	actors map[string]*actor
	waits  map[string]*registration
	out    strings.Builder
}

func (s *linkStory) say(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *linkStory) sends(o string, names []string) {
	if slices.Sort(names); len(names) > 0 {
		s.say("%s %s", o, strings.Join(names, " "))
	}
}

func (s *linkStory) command(t *testing.T, words []string) {
	topic, who := "", ""
	if len(words) > 1 {
		topic = words[1]
	}
	if len(words) > 2 {
		who = words[2]
	}
	r := s.actors[who]
	if r == nil {
		r = &actor{name: who, story: s}
		s.actors[who] = r
	}
	switch words[0] {
	case "subscribe", "attach":
		_, reg := s.l.register(topic, r, words[0] == "attach")
		switch {
		case reg == nil:
			s.say("confirmed")
		case words[0] == "subscribe":
			s.waits[topic+" "+who] = reg
		}
	case "give-up": // the ctx of a Subscribe ends
		if s.l.giveUp(s.l.topics[topic], s.waits[topic+" "+who]) {
			s.say("confirmed after all")
		}
		delete(s.waits, topic+" "+who)
	case "unsubscribe":
		s.l.unregister(topic, r)
	case "wake":
		s.sends("SUBSCRIBE", s.l.take(&s.l.asked, subscribe))
	case "lazy":
		s.sends("UNSUBSCRIBE", s.l.take(&s.l.dropped, unsubscribe))
	case "answer":
		s.l.answer(words[1], words[2])
	case "message":
		s.l.deliver(topic, who)
	case "reconnect":
		s.sends("SUBSCRIBE", s.l.restart("watch"))
	case "topics":
		var names []string
		for name, t := range s.l.topics {
			names = append(names, fmt.Sprintf("%s:%d", name, len(t.regs)))
		}
		slices.Sort(names)
		s.say("%s", strings.Join(names, " "))
	default:
		t.Fatalf("unknown command %q", words[0])
	}
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for key := range s.waits {
			if !yield(key) {
				return
			}
		}
	}) {
		select {
		case <-s.waits[key].ready:
			topic, who, _ := strings.Cut(key, " ")
			s.say("%s is subscribed to %s", who, topic)
			s.l.arrived(s.waits[key])
			delete(s.waits, key)
		default:
		}
	}
	s.check(t)
}

// check tests the invariants of topics.
func (s *linkStory) check(t *testing.T) {
	for name, topic := range s.l.topics {
		if topic.name != name {
			t.Fatalf("topic %q is kept as %q", topic.name, name)
		}
		if !topic.wanted() && topic.sub.over() {
			t.Fatalf("topic %q is kept for nothing", name)
		}
		if topic.sub.subs < 0 || topic.sub.unsubs < 0 {
			t.Fatalf("topic %q: %+v", name, topic.sub)
		}
	}
}

func TestLinkStories(t *testing.T) {
	runStories(t, "link", func(t *testing.T) func([]string) string {
		s := &linkStory{l: newLink(nil, "id"), actors: map[string]*actor{}, waits: map[string]*registration{}}
		return func(words []string) string {
			s.out.Reset()
			s.command(t, words)
			return s.out.String()
		}
	})
}

func TestLookoutStories(t *testing.T) {
	runStories(t, "lookout", func(t *testing.T) func([]string) string {
		o := &lookout{every: time.Second}
		start := time.Now()
		return func(words []string) string {
			// check AT answers N sent N echoed N
			var at float64
			var answered, sent, echoed uint64
			if _, err := fmt.Sscanf(strings.Join(words, " "), "check %fs answers %d sent %d echoed %d", &at, &answered, &sent, &echoed); err != nil {
				t.Fatalf("%v: %v", words, err)
			}
			err := o.check(start.Add(time.Duration(at*float64(time.Second))), answered, sent, echoed)
			if err != nil {
				return err.Error() + "\n"
			}
			return "fine\n"
		}
	})
}

package stories

import (
	"fmt"
	"slices"
	"strings"

	"rollcall/testkit/nodetest"
)

// timerStories are the rows of SPEC 11 about timers and jobs.
var timerStories = []entry{
	{"after", "an event of type timer with name, data for this connection; the same name replaces; cancel",
		(*story).afterTimers},
	{"after-limits", "16 a connection; ends with it", (*story).afterLimits},
	{"every", "on one node of the cluster, at most once a period; may return broadcast_channel", (*story).everyPeriod},
}

func (s *story) afterTimers() {
	c := s.events(0, "first", `{"after":{"name":"first","ms":100}}`)
	c.Expect(`{"timer":"first"}`)
	c.Act(`[{"after":[{"name":"c","ms":300,"data":{"list":[],"null":null}},{"name":"a","ms":100},{"name":"gone","ms":150}]},
		{"after":{"name":"a","ms":200,"data":"replaced"}},{"after":{"name":"gone","cancel":true}},
		{"after":{"name":"b","ms":100}}]`)
	c.Expect(`{"timer":"b"}`, `{"timer":"a","data":"replaced"}`, `{"timer":"c","data":{"list":[],"null":null}}`)

	c.Send(`{"raw":{"send":"must not run","after":{"name":"x","ms":99}}}`)
	c.Act(`{}`)
	s.same("frames", c.Pending(), []string{})
	s.Logs[0].Await(s, "about the wrong ms", func(l nodetest.Line) bool {
		return l.Is("handler failed", "kind", "message", "route", "/ws/do") &&
			strings.Contains(l.Text("error"), "after: ms must be a whole number from 100 to 86400000")
	})
}

func (s *story) afterLimits() {
	channel := s.name("fates")
	watcher := s.events(1)
	watcher.Act(fmt.Sprintf(`{"join":%q}`, channel))
	c := s.events(2, "last", fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":"gone"}}`, channel))
	var list []string
	for i := range 17 {
		list = append(list, fmt.Sprintf(`{"name":"t%d","ms":100}`, i))
	}
	c.Send(`{"raw":{"after":[` + strings.Join(list, ",") + `]}}`)
	s.Logs[2].Await(s, "about the 17th timer", func(l nodetest.Line) bool {
		return l.Is("handler failed", "route", "/ws/do") &&
			strings.Contains(l.Text("error"), "after: a connection has 16 timers at most")
	})
	for i := range 16 {
		c.Expect(fmt.Sprintf(`{"timer":"t%d"}`, i))
	}
	c.Act(`{"after":{"name":"never","ms":60000}}`)
	c.Leave(1000, "")
	watcher.Expect("gone")
}

// everyPeriod listens to the job of the test app, on all nodes.
func (s *story) everyPeriod() {
	var clients []*nodetest.Client
	for node := range s.Addrs {
		c := s.events(node)
		c.Act(`{"join":"job tick"}`)
		clients = append(clients, c)
	}
	runs := make([][]int64, len(clients))
	for i, c := range clients {
		for len(runs[i]) < 4 {
			var event struct {
				Type, Name string
				At         int64
			}
			s.decode(c.Next(), &event)
			s.same("type and name", event.Type+" "+event.Name, "job tick")
			runs[i] = append(runs[i], event.At)
		}
	}
	for i, got := range runs {
		for j := 1; j < len(got); j++ {
			if got[j]/1000 <= got[j-1]/1000 {
				s.Errorf("two runs of one period: %v", got)
			}
		}
		for got[0] < runs[0][0] { // it has joined earlier
			got = got[1:]
		}
		for j, at := range got[:len(got)-1] {
			if !slices.Contains(runs[0], at) && at <= runs[0][len(runs[0])-1] {
				s.Errorf("client %d heard of run %d at %d, the first one of %v", i, j, at, runs[0])
			}
		}
	}
}

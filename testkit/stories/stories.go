package stories

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// Key is the API key of the nodes.
const Key = "key-of-the-stories"

// Tokens is the environment's variable that tells the test app that its nodes can check tokens.
const Tokens = "ROLLCALL_APP_TOKENS"

// Flags are the flags that the nodes must have besides --redis and --app; issuer makes the tokens of the stories.
func Flags(issuer *tokentest.Issuer) []string {
	return append(issuer.Flags(), "--api-key", Key, "--allowed-origins", "https://global.example",
		"--lease-ttl", "3s", "--heartbeat", "400ms", "--message-rate", "0", "--drain", "0s",
		"--http-allow", "127.0.0.1")
}

// Cluster is what the stories are told of: three nodes.
type Cluster struct {
	Addrs []string
	Logs  []*nodetest.Log // JSON, one for each node
	// Issuer is whose tokens the nodes believe.
	Issuer *tokentest.Issuer
	// Restart stops all nodes, and starts three others on the same Redis; it changes Addrs and Logs.
	Restart func(t *testing.T)

	contract *Contract // of the first nodes
}

// story is one run of one story.
type story struct {
	*testing.T
	*Cluster
	names int
}

// Run tells all stories.
func Run(t *testing.T, c *Cluster) {
	c.contract = ReadContract(t, c.Addrs[0], "X-API-Key: "+Key)
	for _, part := range []struct {
		name    string
		stories []entry
	}{
		{"scripts", scriptStories}, {"registry", registryStories}, {"events", eventStories},
		{"timers", timerStories}, {"presence", presenceStories}, {"users", userStories},
		{"functions", functionStories}, {"http", httpStories}, {"identity", identityStories}, {"permissions",
			permissionStories},
		{"solidb", solidbStories}, {"history", historyStories}, {"sse", sseStories}, {"phoenix", phoenixStories},
		{"api", apiStories}, {"api-presence", apiPresenceStories}, {"api-bad", apiBadStories}, {"restart", restartStories},
	} {
		t.Run(part.name, func(t *testing.T) {
			for _, e := range part.stories {
				t.Run(e.name, func(t *testing.T) {
					defer func() {
						if t.Failed() {
							t.Log(e.spec)
						}
					}()
					e.tell(&story{T: t, Cluster: c})
				})
			}
		})
	}
}

// entry is one story with the sentence it shows.
type entry struct {
	name, spec string
	tell       func(*story)
}

// name makes a channel's, script's or user's name that no other story has.
func (s *story) name(what string) string {
	s.names++
	return fmt.Sprintf("%s %d %s", s.Name()[strings.LastIndexByte(s.Name(), '/')+1:], s.names, what)
}

// on connects to a path of one node.
func (s *story) on(node int, path string, header ...string) *nodetest.Client {
	s.Helper()
	return nodetest.Dial(s, s.Addrs[node], path, header...)
}

// events connects to the event handler of the test app; query is name and value in turn.
func (s *story) events(node int, query ...string) *nodetest.Client {
	s.Helper()
	return s.on(node, "/ws/do"+queryOf(query))
}

// commander connects to the connection script of the test app.
func (s *story) commander(node int) *nodetest.Client {
	s.Helper()
	return s.on(node, "/api/custom/test/do")
}

func queryOf(pairs []string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// same fails the story when got is not want.
func (s *story) same(what string, got, want any) {
	s.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		s.Fatalf("%s:\ngot  %s\nwant %s", what, g, w)
	}
}

// contains fails the story when a text lacks a part.
func (s *story) contains(text string, parts ...string) {
	s.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			s.Fatalf("got  %s\nwant something with %s", text, part)
		}
	}
}

// api calls /_api with the key. The answer must be one that the OpenAPI document has.
func (s *story) api(method string, node int, path, body string, header ...string) (int, string) {
	s.Helper()
	status, answer, _ := s.call(method, node, path, body, append(header, "X-API-Key: "+Key)...)
	return status, answer
}

// call is api without the key, and gives the headers too.
func (s *story) call(method string, node int, path, body string, header ...string) (int, string, http.Header) {
	s.Helper()
	status, answer, head := nodetest.Request(context.Background(), method, s.Addrs[node], path, body, header...)
	if strings.HasPrefix(path, "/_api") {
		sent := http.Header{}
		for _, line := range header {
			name, value, _ := strings.Cut(line, ": ")
			sent.Add(name, value)
		}
		if err := s.contract.Check(method, path, body, sent, status, answer, head); err != nil {
			s.Errorf("%s %s: %v", method, path, err)
		}
	}
	return status, answer, head
}

// get is a GET without a key.
func (s *story) get(node int, path string) (int, string) {
	s.Helper()
	status, answer, _ := nodetest.Request(context.Background(), http.MethodGet, s.Addrs[node], path, "")
	return status, answer
}

// script registers a connection script on node 0 and returns its path when all nodes serve it, which is within 1 s.
func (s *story) script(code string) (path string) {
	s.Helper()
	s.names++
	name := fmt.Sprintf("%s-%d", strings.ToLower(s.Name()[strings.LastIndexByte(s.Name(), '/')+1:]), s.names)
	s.put("/_api/custom/s/"+name, "WS", code)
	path = "/api/custom/s/" + name
	s.servedWithin(time.Second, path)
	return path
}

// put registers a script over node 0.
func (s *story) put(path, method, code string) {
	s.Helper()
	body, err := json.Marshal(map[string]string{"method": method, "code": code})
	if err != nil {
		s.Fatal(err)
	}
	if status, answer := s.api("POST", 0, path, string(body),
		"Content-Type: application/json"); status != http.StatusCreated {
		s.Fatalf("POST %s: %d %s", path, status, answer)
	}
}

// servedWithin waits until all nodes serve a WebSocket at path.
func (s *story) servedWithin(within time.Duration, path string) {
	s.Helper()
	end := time.Now().Add(within)
	for node := range s.Addrs {
		testkit.Within(s, fmt.Sprintf("node %d serves %s", node, path), max(time.Until(end), 10*time.Millisecond),
			func() bool {
				status, _ := s.get(node, path)
				return status == http.StatusUpgradeRequired
			})
	}
}

// run connects to a script with this code on a node.
func (s *story) run(node int, code string) *nodetest.Client {
	s.Helper()
	return s.on(node, s.script(code))
}

// decode reads JSON.
func (s *story) decode(text string, into any) {
	s.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.Fatalf("%v in %s", err, text)
	}
}

// field takes a value out of JSON by a path of names, as JSON.
func (s *story) field(text string, path ...string) string {
	s.Helper()
	var v any
	s.decode(text, &v)
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return "nothing"
		}
		if v, ok = m[name]; !ok {
			return "nothing"
		}
	}
	return nodetest.JSON(v)
}

// number reads JSON of a number.
func (s *story) number(text string) (n float64) {
	s.Helper()
	s.decode(text, &n)
	return n
}

// id is the connection id of a commander or an event handler's connection.
func (s *story) id(c *nodetest.Client) string {
	s.Helper()
	r := c.Ask(map[string]any{"call": "solidb.ws.id"})
	if r.Error != "" { // an event handler: it has no solidb
		r = c.Ask(map[string]any{"event": true})
		event, _ := r.Results[0].(map[string]any)
		return fmt.Sprint(event["connection_id"])
	}
	return fmt.Sprint(r.Results[0])
}

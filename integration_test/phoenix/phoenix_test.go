// Package phoenix_test runs clients of Phoenix and of Supabase, unmodified, against nodes. README.md tells how to run
// them by hand. npm ci has put them into node_modules; without them the tests are skipped, or fail with
// ROLLCALL_TEST_REQUIRE.
package phoenix_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
	"rollcall/testkit/tokentest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// The clients, by their names in package.json.
var (
	phoenixClients  = []string{"phoenix-1-4", "phoenix-1-5", "phoenix-1-6", "phoenix-1-7", "phoenix-1-8"}
	supabaseClients = []string{"realtime-js-2-10", "realtime-js-2-15", "realtime-js-latest"}
)

const key = "key-of-the-clients"

// cluster is nodes that serve the app of the harness.
type cluster struct {
	nodes  []*nodetest.Node
	o      nodetest.Options
	issuer *tokentest.Issuer
}

func start(t *testing.T, nodes int) *cluster {
	t.Helper()
	if _, err := os.Stat("node_modules"); err != nil {
		redistest.Missing(t, "the clients are not here (npm ci in integration_test/phoenix)")
	}
	c := &cluster{issuer: tokentest.NewIssuer(t)}
	// quick_rejoin sends more than 100 messages a second
	c.o = nodetest.Options{Redis: redistest.Standalone(t).URL(), App: "app", Flags: append(c.issuer.Flags(),
		"--api-key", key, "--message-rate", "0", "--lease-ttl", "3s", "--heartbeat", "400ms", "--drain", "1s")}
	c.nodes = nodetest.StartAll(t, nodes, c.o)
	return c
}

func socket(addr string) string { return "ws://" + addr + "/socket" }

// harness runs run.mjs, or random.mjs, and fails with what it says.
func harness(t *testing.T, args ...string) {
	t.Helper()
	run(t, ".", exec.Command(redistest.Program(t, "node"), append([]string{"run.mjs"}, args...)...))
}

func run(t *testing.T, dir string, cmd *exec.Cmd) {
	t.Helper()
	var out, progress bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &progress
	err := cmd.Run()
	var said struct {
		OK      bool `json:"ok"`
		Results []struct {
			OK     bool            `json:"ok"`
			Client string          `json:"client"`
			Name   string          `json:"scenario"`
			Error  string          `json:"error"`
			Failed json.RawMessage `json:"failed"`
		} `json:"results"`
	}
	if bad := json.Unmarshal(out.Bytes(), &said); bad != nil {
		t.Fatalf("%s: %v: %s\n%s", cmd, err, out.Bytes(), progress.Bytes())
	}
	for _, r := range said.Results {
		if !r.OK {
			t.Errorf("%s, %s: %s %s", r.Client, r.Name, r.Error, r.Failed)
		}
	}
	if err != nil || !said.OK {
		t.Errorf("%s: %v\n%s", cmd, err, progress.Bytes())
	}
}

// target is what scenarios need to know of nodes at these addresses.
func (c *cluster) target(first, second, node string) []string {
	token := c.issuer.Token("ann", time.Hour, tokentest.Claims{"channels": []string{"room:*"}})
	return []string{"--url=" + socket(first), "--url2=" + socket(second), "--seedws=ws://" + second + "/ws/room",
		"--authurl=ws://" + first + "/auth", "--token=" + token, "--api=http://" + node, "--api-key=" + key}
}

// Every scenario of every client, on one node and on three behind the balancer.
func TestClients(t *testing.T) {
	c := start(t, 3)
	balancer := nodetest.StartHAProxy(t, "../../deploy/haproxy.cfg", c.nodes...)
	testkit.Within(t, "an answer through HAProxy", nodetest.Timeout, func() bool {
		return nodetest.Status(balancer, "/socket/websocket") == http.StatusUpgradeRequired
	})
	node := c.nodes[0].Addr()
	for where, target := range map[string][]string{"one node": c.target(node, node, node),
		"three behind HAProxy": c.target(balancer, balancer, node)} {
		for _, client := range slices.Concat(phoenixClients, supabaseClients) {
			t.Run(where+"/"+client, func(t *testing.T) {
				t.Parallel()
				harness(t, append(target, "--clients="+client)...)
			})
		}
		t.Run(where+"/go", func(t *testing.T) {
			t.Parallel()
			bin := filepath.Join(t.TempDir(), "client")
			build := exec.Command("go", "build", "-o", bin, ".")
			build.Dir = "go"
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build the Go client: %v\n%s", err, out)
			}
			run(t, ".", exec.Command(bin, "-url", strings.TrimPrefix(target[0], "--url=")))
		})
	}
}

// A node is killed, or drains: its clients come back elsewhere, and nobody is told that they left.
func TestNodeGoes(t *testing.T) {
	c := start(t, 2)
	for _, how := range []string{"kill", "drain"} {
		for _, client := range phoenixClients {
			t.Run(how+"/"+client, func(t *testing.T) {
				t.Parallel()
				goes := nodetest.Start(t, c.o)
				harness(t, append(c.target(goes.Addr(), c.nodes[0].Addr(), c.nodes[1].Addr()), "--clients="+client,
					"--scenarios="+how, "--pid="+strconv.Itoa(goes.Pid()))...)
			})
		}
	}
}

// Steps at random with the Presence class of each version. PHOENIX_STEPS makes it longer.
func TestRandomSteps(t *testing.T) {
	c := start(t, 2)
	const perRoom = 40
	steps, err := strconv.Atoi(os.Getenv("PHOENIX_STEPS"))
	if err != nil {
		steps = 2000
	}
	for _, client := range phoenixClients {
		t.Run(client, func(t *testing.T) {
			goes := nodetest.Start(t, c.o)
			for left := max(steps/len(phoenixClients)/perRoom, 1); left > 0; left -= 25 {
				harness(t, append(c.target(goes.Addr(), c.nodes[0].Addr(), c.nodes[1].Addr()), "--clients="+client,
					"--scenarios=random", fmt.Sprint("--ops=", perRoom), fmt.Sprint("--rounds=", min(left, 25)), "--parallel=1",
					fmt.Sprint("--seed=", 1+left))...)
			}
			// The last ones while their node is killed.
			harness(t, append(c.target(goes.Addr(), c.nodes[0].Addr(), c.nodes[1].Addr()), "--clients="+client,
				"--scenarios=random_kill", fmt.Sprint("--ops=", perRoom), "--pid="+strconv.Itoa(goes.Pid()))...)
		})
	}
}

package main

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"rollcall/cluster"
	"rollcall/testkit/nodetest"
)

// SPEC 3: --dev is for one's own machine: it listens on loopback, unless it is told otherwise by flag or environment.
func TestListenDefault(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		env  string
		want string
	}{
		{"in production", []string{"--app", testApp}, "", ":6745"},
		{"--dev", []string{"--app", testApp, "--dev"}, "", "127.0.0.1:6745"},
		{"--dev --listen", []string{"--app", testApp, "--dev", "--listen", ":6745"}, "", ":6745"},
		{"--dev and the environment", []string{"--app", testApp, "--dev"}, ":7000", ":7000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.env != "" {
				t.Setenv("ROLLCALL_LISTEN", tt.env)
			}
			var c cli
			parser, err := kong.New(&c, kong.Name(program), kong.DefaultEnvars("ROLLCALL"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(append([]string{"serve"}, tt.args...)); err != nil {
				t.Fatal(err)
			}
			if err := c.Serve.validate(); err != nil || c.Serve.Listen != tt.want {
				t.Errorf("it listens on %q, %v", c.Serve.Listen, err)
			}
		})
	}
}

// With --dev a page of a name that was led here gets nothing of the app: no WebSocket, no route, no file. Others do.
func TestDevRefusesForeignHosts(t *testing.T) {
	dir := write(t, map[string]string{
		"config/routes.lua": `router_websocket("/ws", "h#ws") router_get("/route", "h#route")`,
		"handlers/h.lua":    `function ws() return {} end function route() return "here" end`,
		"public/file.txt":   "file",
	})
	run := func(args ...string) string {
		n, err := start(t.Context(), configOf(t, append([]string{"--app", dir, "--drain", "0s"}, args...)...),
			cluster.NewProcess(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.close)
		return n.ln.Addr().String()
	}
	dev, named, production := run("--dev"), run("--dev", "--allowed-origins", "https://tunnel.example"), run()
	_, port, _ := strings.Cut(dev, ":")
	for _, tt := range []struct {
		name, addr, host string
		refused          bool
	}{
		{"the address", dev, dev, false},
		{"localhost", dev, "localhost:" + port, false},
		{"below localhost", dev, "app.localhost:" + port, false},
		{"an address of the machine", dev, "192.0.2.7:" + port, false},
		{"IPv6", dev, "[2001:db8::1]:" + port, false},
		{"a name that was led here", dev, "evil.example:" + port, true},
		{"one that looks like it", dev, "localhost.evil.example", true},
		{"another node's", dev, "tunnel.example", true},
		{"a name that is configured", named, "tunnel.example", false},
		{"another name", named, "evil.example", true},
		{"production", production, "any.example", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			origin := "http://" + tt.host // a page of that name is of the same origin
			c, resp, err := nodetest.TryDial(t, tt.addr, "/ws", "Host: "+tt.host, "Origin: "+origin)
			switch {
			case err == nil:
				c.Drop()
				if tt.refused {
					t.Error("a WebSocket was taken")
				}
			case !tt.refused || resp == nil || resp.StatusCode != http.StatusForbidden:
				t.Errorf("a WebSocket: %v, %v", err, resp)
			}
			for _, path := range []string{"/route", "/file.txt", "/metrics"} {
				status, body, _ := nodetest.Request(t.Context(), "GET", tt.addr, path, "", "Host: "+tt.host)
				if tt.refused && (status != http.StatusForbidden || !strings.Contains(body, "--allowed-origins")) || !tt.refused &&
					status != http.StatusOK {
					t.Errorf("%s: %d %.200s", path, status, body)
				}
			}
		})
	}
}

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"rollcall/app"
	"rollcall/auth"
	"rollcall/egress"
	"rollcall/redisconn"
)

// Config is what `rollcall serve` can be told (SPEC 3): by flags, and by ROLLCALL_… in the environment.
type Config struct {
	Listen  string `placeholder:"ADDRESS" help:"Address to listen on: host:port, or :port. None: :6745; with --dev 127.0.0.1:6745."`
	TLSCert string `name:"tls-cert" placeholder:"FILE" help:"Certificate and its chain (PEM): TLS on --listen. Read again when it changes."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" help:"The key of --tls-cert (PEM)."`
	Redis   string `placeholder:"URL" help:"Redis: redis://, rediss:// or unix://; several hosts: Cluster; redis+sentinel://host,host/master. None: an embedded in-process Redis, for one node."`
	App     string `placeholder:"DIR" help:"The app folder. With --dev: examples/chat, and reloaded on change."`
	Dev     bool   `help:"Local defaults: embedded Redis allowed, /_api open on loopback, verbose errors to clients; only hosts that are this machine are answered."`

	HealthListen string `placeholder:"ADDRESS" help:"Address of their own for /healthz, /readyz and /metrics, which need no key; --listen serves them no more. None: they are on --listen."`

	APIKey     string `name:"api-key" placeholder:"KEY" help:"Key that back ends use for /_api."`
	APIKeyFile string `name:"api-key-file" placeholder:"FILE" help:"File with keys, one a line: a key, or a name, scopes (read, publish, admin) and a key. Read again when it changes."`
	tokenFlags
	AllowedOrigins []string `placeholder:"ORIGIN" help:"Origins of other hosts whose pages may connect, such as https://example.com; * allows every one."`
	TrustedProxies []string `placeholder:"NET" help:"Networks whose X-Forwarded-For and Forwarded are believed."`

	LeaseTTL       time.Duration `name:"lease-ttl" default:"6s" help:"How long after its last heartbeat a node counts as dead."`
	Heartbeat      time.Duration `default:"2s" help:"Time between two heartbeats; at most a third of --lease-ttl."`
	PresenceWindow time.Duration `default:"50ms" help:"Presence changes that come within it leave as one diff; 0 turns it off."`
	PresenceLinger time.Duration `default:"0s" help:"How long the user of a connection that dropped, or closed with 1001, stays present."`
	RestartGrace   time.Duration `default:"5s" help:"How long the user of a connection that this node sent away to come back stays present."`

	MaxMessage  Size          `default:"64KiB" help:"Longest message of a client; beyond: close 1009."`
	MessageRate int           `default:"100" help:"Messages a second a client may send, twice that in a burst; beyond: close 1008. 0: no limit."`
	SendQueue   Size          `default:"1MiB" help:"What may wait for one client; beyond: close 1013."`
	Ping        time.Duration `default:"25s" help:"Time between pings; two unanswered: the client is dead."`

	MaxConnections      int `default:"0" help:"Connections this node takes; beyond: 503. 0: no limit."`
	MaxConnectionsPerIP int `name:"max-connections-per-ip" default:"0" help:"Connections it takes from one address, as seen through --trusted-proxies (IPv6: from one /64); beyond: 429. 0: no limit."`

	MaxConnectionsPerUser int `default:"0" help:"Connections it takes from one user of tokens; beyond: 429. 0: no limit."`
	ConnectRate           int `default:"0" help:"New connections a second it takes, beyond: 503; and a tenth of them from one address, beyond: 429. 0: no limit."`

	ScriptBudget  time.Duration  `default:"250ms" help:"Time a handler may run between two calls that wait."`
	TurnTimeout   time.Duration  `default:"10s" help:"Time of one event or HTTP call, waiting for Redis included; beyond: close 1011."`
	ScriptMemory  Size           `default:"0" help:"What Lua of all connections may hold together; beyond, the script that holds the most is ended (close 1011). 0: a quarter of the memory limit."`
	HistoryMemory Size           `default:"64MiB" help:"What this node keeps of channels with history, for clients that come back; beyond, Redis is read."`
	StoreQuota    Quota          `placeholder:"KEYS,BYTES" help:"What the app may keep with store.*, such as 100000,64MiB; beyond, it raises. 0 for either: no limit. Not on a Redis Cluster."`
	HTTPAllow     []string       `name:"http-allow" placeholder:"HOST" help:"Hosts that handlers may ask with http.fetch: host, host:port, *.domain, addresses and networks. Private addresses must be named as such. None: it raises."`
	Drain         *time.Duration `placeholder:"TIME" help:"Time over which clients are sent away after SIGTERM (close 1012). None: 10s; with --dev they go at once."`
	RedisPrefix   string         `default:"rollcall" help:"What all names in Redis begin with."`

	LogLevel  string `default:"info" enum:"debug,info,warn,error" help:"Least level of the log: debug, info, warn, error."`
	LogFormat string `default:"text" enum:"text,json" help:"Form of the log: text or json."`

	LogConnections string `default:"ends" enum:"none,ends,all" help:"Connections that have a line in the log at info: none, each that ends (ends), or each that begins and ends (all)."`

	// Zero but in tests.
	timeouts timeouts

	inside *inside // nil but in `rollcall test`

	env app.Env // of the app; as the process was started with it

	// Made by validate.
	tokens     auth.Config
	proxies    auth.Proxies
	httpAllow  egress.Allow
	origins    []string // as ParseOrigins gives them
	drain      time.Duration
	endsAtOnce bool // --dev without --drain: it ends as soon as it can
}

// Size is a number of bytes: "65536", "64KiB", "1MiB", "64k", "1M".
type Size int64

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	t := strings.TrimSpace(string(text))
	unit := int64(1)
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"k", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(t, u.suffix); ok {
			t, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is no size, such as 64KiB", text)
	}
	*s = Size(n * unit)
	return nil
}

// Quota is a number of keys and of bytes: "100000,64MiB". 0: no limit.
type Quota struct{ keys, bytes int64 }

// UnmarshalText reads a quota.
func (q *Quota) UnmarshalText(text []byte) error {
	keys, bytes, ok := strings.Cut(string(text), ",")
	n, err := strconv.ParseInt(strings.TrimSpace(keys), 10, 64)
	var size Size
	if !ok || err != nil || n < 0 || size.UnmarshalText([]byte(bytes)) != nil {
		return fmt.Errorf("%q is no number of keys and of bytes, such as 100000,64MiB", text)
	}
	q.keys, q.bytes = n, int64(size)
	return nil
}

// usage is an error of the configuration: one line that names the flag and the mend, exit code 2.
type usage struct{ text string }

func (u usage) Error() string { return u.text }

func usagef(format string, args ...any) error { return usage{fmt.Sprintf(format, args...)} }

// validate completes the configuration and says what is wrong with it.
func (c *Config) validate() error {
	if c.Listen == "" {
		c.Listen = listenEverywhere
		if c.Dev {
			c.Listen = listenHere
		}
	}
	switch {
	case c.Drain != nil:
		c.drain = *c.Drain
	case c.Dev:
		c.endsAtOnce = true
	default:
		c.drain = 10 * time.Second
	}
	tokens, err := c.tokenFlags.config()
	if err != nil {
		return err
	}
	c.tokens = tokens
	if c.APIKey != "" && c.APIKeyFile != "" {
		return usagef("--api-key-file: give a key or a file with keys, not both")
	}
	if c.App == "" {
		if !c.Dev {
			return usagef("--app: no app folder given: name one, or try --dev")
		}
		c.App = "examples/chat"
	}
	if info, err := os.Stat(c.App); err != nil || !info.IsDir() {
		return usagef("--app: %s is no folder: name the folder that holds config/, handlers/, scripts/ or public/", c.App)
	}
	for _, d := range []struct {
		flag     string
		value    time.Duration
		min, max time.Duration
	}{
		{"--lease-ttl", c.LeaseTTL, 300 * time.Millisecond, time.Hour},
		{"--heartbeat", c.Heartbeat, 50 * time.Millisecond, time.Hour},
		{"--presence-window", c.PresenceWindow, 0, 10 * time.Second},
		{"--presence-linger", c.PresenceLinger, 0, time.Hour},
		{"--restart-grace", c.RestartGrace, 0, time.Hour},
		{"--ping", c.Ping, 100 * time.Millisecond, time.Hour},
		{"--script-budget", c.ScriptBudget, time.Millisecond, time.Minute},
		{"--turn-timeout", c.TurnTimeout, 100 * time.Millisecond, time.Hour},
		{"--drain", c.drain, 0, time.Hour},
	} {
		if d.value < d.min || d.value > d.max {
			return usagef("%s: %v is out of range: give a time from %v to %v", d.flag, d.value, d.min, d.max)
		}
	}
	if 3*c.Heartbeat > c.LeaseTTL {
		return usagef("--heartbeat: %v is too long for --lease-ttl %v: give at most a third of it", c.Heartbeat, c.LeaseTTL)
	}
	if c.MaxMessage < 1 || c.MaxMessage > 1<<30 {
		return usagef("--max-message: %d is out of range: give 1 byte to 1GiB", c.MaxMessage)
	}
	if c.SendQueue < 1<<10 || c.SendQueue > 1<<30 {
		return usagef("--send-queue: %d is out of range: give 1KiB to 1GiB", c.SendQueue)
	}
	if err := checkTLS(c.TLSCert, c.TLSKey); err != nil {
		return err
	}
	for _, n := range []struct {
		flag  string
		value int
	}{{"--message-rate", c.MessageRate}, {"--max-connections", c.MaxConnections}, {"--max-connections-per-ip",
		c.MaxConnectionsPerIP},
		{"--max-connections-per-user", c.MaxConnectionsPerUser}, {"--connect-rate", c.ConnectRate}} {
		if n.value < 0 {
			return usagef("%s: %d is negative: give 0 for no limit", n.flag, n.value)
		}
	}
	if c.RedisPrefix == "" || strings.ContainsAny(c.RedisPrefix, "{} \t\r\n") {
		return usagef("--redis-prefix: %q: give a name without braces and spaces", c.RedisPrefix)
	}
	if c.Redis != "" {
		if _, err := redisconn.ParseURL(c.Redis); err != nil {
			return usagef("--redis: %v", err)
		}
	}
	origins, err := app.ParseOrigins(c.AllowedOrigins)
	if err != nil {
		return usagef("--allowed-origins: %v", err)
	}
	c.origins = origins
	if c.httpAllow, err = egress.ParseAllow(c.HTTPAllow); err != nil {
		return usagef("--http-allow: %v", err)
	}
	proxies, err := auth.ParseProxies(c.TrustedProxies)
	if err != nil {
		return usagef("--trusted-proxies: %v", err)
	}
	c.proxies = proxies
	return nil
}

// exitCode tells a bad configuration (2) from what went wrong at work (1).
func exitCode(err error) int {
	var u usage
	switch {
	case err == nil:
		return 0
	case errors.As(err, &u):
		return 2
	}
	return 1
}

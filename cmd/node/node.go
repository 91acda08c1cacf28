package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/api"
	"rollcall/app"
	"rollcall/auth"
	"rollcall/broker"
	"rollcall/clients/js"
	"rollcall/cluster"
	"rollcall/egress"
	"rollcall/hooks"
	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/metrics"
	"rollcall/outbox"
	"rollcall/overload"
	"rollcall/presence"
	"rollcall/redisconn"
	"rollcall/wsconn"
)

// node is one running node: the rooms of DESIGN 1, built from the ground up and closed in reverse.
type node struct {
	cfg *Config
	log *slog.Logger

	metrics         *metrics.Metrics
	health          *healthServer // nil: health is on ln
	keys            *auth.Keyring
	tokens          *auth.Verifier
	redis           *redisconn.Client
	broker          *broker.Broker
	cluster         *cluster.Cluster
	store           *presence.Store
	tracker         *presence.Tracker
	hooks           *hooks.Hooks
	hub             *hub.Hub
	sockets         *outbox.Sockets
	scripts         *app.Scripts
	storeQuota      *app.StoreQuota // nil: none
	memoryOfScripts *luavm.Ceiling
	egress          *egress.Client
	app             *app.Server
	http            *http.Server
	ln              net.Listener // of http; the door, with TLS before it
	door            *door
	files           files
	handler         atomic.Pointer[http.HandlerFunc]
	served          chan error // of http.Serve

	admission *overload.Admission
	draining  atomic.Bool
}

// serve runs a node until ctx ends, then sends its clients away.
func serve(ctx context.Context, cfg *Config, process string, log *slog.Logger) error {
	redisconn.RouteLibraryLog(log)
	n, err := start(ctx, cfg, process, log)
	switch {
	case err != nil && errors.Is(err, ctx.Err()):
		return nil // told to end while it waited for Redis
	case err != nil:
		return err
	}
	quiet, cancel := context.WithCancel(ctx)
	var scavenging sync.WaitGroup
	scavenging.Go(func() { overload.Scavenge(quiet) })
	select {
	case <-ctx.Done():
	case err = <-n.served:
		err = fmt.Errorf("serve: %w", err)
	}
	cancel()
	scavenging.Wait()
	n.close()
	return err
}

// start builds a node, whose connections name process, and lets it listen. What was built is closed again when it
// fails.
func start(ctx context.Context, cfg *Config, process string, log *slog.Logger) (_ *node, err error) {
	n := &node{cfg: cfg, log: log, metrics: newMetrics()}
	n.watch(func() error { return errStarting }, (*cluster.Cluster)(nil).Measure)
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.Background(), afterDrain)
			defer cancel()
			n.closeRooms(ctx)
		}
	}()
	if n.tokens, err = openTokens(ctx, cfg, log); err != nil {
		return nil, err
	}
	loaded, err := loadApp(cfg, n.tokens.Configured())
	if err != nil {
		return nil, err
	}
	if n.keys, err = auth.OpenKeyring(auth.NewKey(cfg.APIKey), cfg.APIKeyFile, log); err != nil {
		return nil, usagef("--api-key-file: %v: name a file that can be read, with a key on each line", err)
	}
	if err = n.bind(); err != nil {
		return nil, err
	}
	meanwhile, err := n.openHealth()
	if err != nil {
		_ = n.ln.Close()
		return nil, err
	}
	n.files.log(cfg.MaxConnections, log)
	n.listen(meanwhile)
	if n.redis, err = openRedis(ctx, cfg, n.metrics, log); err != nil {
		return nil, err
	}
	if n.storeQuota, err = openStoreQuota(cfg, n.redis, loaded.Name, log); err != nil {
		return nil, err
	}
	n.broker = broker.New(broker.Config{Redis: n.redis, Observer: n.metrics, Log: log})
	n.store = presence.NewStore(n.redis, n.redis.Keys())
	n.cluster = cluster.New(cluster.Config{
		Redis: n.redis, Broker: n.broker, Process: process, TTL: cfg.LeaseTTL, Heartbeat: cfg.Heartbeat, Remover: n.store,
		Observer: n.metrics, Log: log,
		Node: cluster.Node{Address: n.ln.Addr().String(), Version: versionText(), PID: os.Getpid(), StartedAt: time.Now()},
		Load: func() cluster.Load { return n.hub.Load() },
	})
	n.tracker = presence.NewTracker(presence.Config{Store: n.store, Lease: n.cluster, TTL: cfg.LeaseTTL,
		Window: cfg.PresenceWindow, AuditQuiet: auditQuiet(n.redis), Log: log})
	n.hub = hub.New(hub.Config{Redis: n.redis, Broker: n.broker, Cluster: n.cluster, Tracker: n.tracker,
		Linger: cfg.PresenceLinger, RestartGrace: cfg.RestartGrace, HistoryMemory: int64(cfg.HistoryMemory),
		Observer: n.metrics, Log: log})
	if err = n.openHooks(loaded.Hooks(), process); err != nil {
		return nil, err
	}
	n.wire()
	n.sockets = outbox.New(outbox.Config{SendQueue: int(cfg.SendQueue), Ping: cfg.Ping}, socketObserver{n.metrics, log})
	if n.scripts, err = app.OpenScripts(ctx,
		app.ScriptsConfig{Redis: n.redis, Broker: n.broker, Keys: n.redis.Keys(), Log: log}); err != nil {
		return nil, fmt.Errorf("read registered scripts: %w", err)
	}
	n.memoryOfScripts = luavm.NewCeiling(scriptMemory(cfg))
	n.egress = egress.New(egress.Config{Allow: cfg.httpAllow, Agent: "Rollcall"})
	n.app, err = app.NewServer(app.Config{
		App: loaded, Hub: n.hub, Sockets: n.sockets, Redis: n.redis, Keys: n.redis.Keys(), Scripts: n.scripts,
		WebSockets: wsconn.Config{MaxMessage: int64(cfg.MaxMessage), MessageRate: cfg.MessageRate},
		Periods:    n.cluster, Limits: luavm.Limits{Budget: cfg.ScriptBudget}, EventBytes: int(cfg.SendQueue), Dev: cfg.Dev,
		Node: process, AllowedOrigins: cfg.origins, Tokens: n.tokens, APIKeys: n.keyGuard(), StoreQuota: n.storeQuota,
		Memory: n.memoryOfScripts, TurnTimeout: cfg.TurnTimeout, Clock: cfg.clock(), Fetcher: n.fetcher(),
		RemoteAddr: n.remoteAddr, Admit: n.admit, Observer: handlerObserver{n.metrics}, Log: log,
		LogConnections: cfg.LogConnections,
	})
	if err != nil {
		return nil, fmt.Errorf("serve the app: %w", err)
	}
	n.open()
	log.Info("node is up", "address", n.ln.Addr().String(), "app", cfg.App, "version", versionText())
	if cfg.Dev {
		log.Info("open " + devURL(n.ln.Addr(), cfg.TLSCert != ""))
	}
	return n, nil
}

// scriptMemory is what scripts may hold together, in bytes.
func scriptMemory(cfg *Config) int64 {
	if cfg.ScriptMemory > 0 {
		return int64(cfg.ScriptMemory)
	}
	return overload.MemoryLimit() / 4
}

// loadApp loads the app folder.
func loadApp(cfg *Config, hasKeys bool) (*app.App, error) {
	if cfg.inside != nil {
		return cfg.inside.app, nil
	}
	return loadFolder(cfg.App, app.LoadOptions{HasKeys: hasKeys, Env: cfg.env})
}

// loadFolder loads an app; its errors are listed, one a line.
func loadFolder(dir string, o app.LoadOptions) (*app.App, error) {
	a, problems := app.Load(dir, o)
	switch {
	case len(problems) == 0:
		return a, nil
	case errors.Is(problems[0], app.ErrMissing):
		return nil, usagef("%v", problems[0])
	}
	return nil, fmt.Errorf("%s has %s:\n%w", dir, count(len(problems), "error"), errors.Join(problems...))
}

// openRedis connects to Redis; while it cannot be reached, the node waits for it.
func openRedis(ctx context.Context, cfg *Config, m *metrics.Metrics, log *slog.Logger) (*redisconn.Client, error) {
	how := redisconn.Config{URL: cfg.Redis, Prefix: cfg.RedisPrefix, Observer: redisObserver{m}, Log: log}
	if cfg.inside != nil {
		how.Dial, how.Gather = cfg.inside.Redis, -1 // a pipeline costs no system call there
	}
	for {
		client, err := redisconn.Open(ctx, how)
		switch {
		case err == nil:
			return client, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("connect to Redis: %w", ctx.Err())
		case !errors.Is(err, redisconn.ErrUnavailable):
			return nil, usagef("--redis: %v", err)
		}
		log.Warn("waiting for Redis", "error", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// openHooks makes the hooks of the app.
func (n *node) openHooks(list []hooks.Hook, process string) (err error) {
	if n.cfg.inside != nil {
		list = nil // the tests of an app reach nothing outside
	}
	for _, h := range list {
		if strings.HasPrefix(h.URL, "http://") && !n.cfg.Dev {
			n.log.Warn("a hook's events travel in the clear: give it an https:// URL", "hook", h.Name)
		}
	}
	n.hooks, err = hooks.New(hooks.Config{Hooks: list, Redis: n.redis, Topics: n.broker, Presence: n.store,
		Channels: n.cluster.Channels, Tracked: n.tracker.Tracked, Process: process, Hold: n.tracker.Hold(),
		Lease: n.cfg.LeaseTTL, Agent: "Rollcall", Log: n.log})
	if err != nil {
		return fmt.Errorf("open the hooks: %w", err)
	}
	n.store.OnChange(func(channel, user string) { n.hooks.Changed(hooks.Change{Channel: channel, User: user}) })
	return nil
}

// openStoreQuota begins to count what the app keeps; nil: there is no quota.
func openStoreQuota(cfg *Config, b *redisconn.Client, name string, log *slog.Logger) (*app.StoreQuota, error) {
	q := cfg.StoreQuota
	switch {
	case q == Quota{}:
		return nil, nil
	case b.Cluster():
		return nil, usagef("--store-quota: a Redis Cluster cannot count what is spread over its nodes: leave it out")
	}
	return app.NewStoreQuota(app.StoreQuotaConfig{Redis: b, Keys: b.Keys(), App: name, MaxKeys: q.keys, MaxBytes: q.bytes,
		Log: log}), nil
}

// auditQuiet is how rarely presence of a quiet channel is compared with Redis; 0: as rarely as it may be. With plain
// pub/sub the nodes of a Cluster pass messages on to each other, and no subscriber hears of those that are lost there.
func auditQuiet(r *redisconn.Client) time.Duration {
	if r.Cluster() && !r.Sharded() {
		return presence.Audit
	}
	return 0
}

// wire lets the rooms hear of each other and starts them.
func (n *node) wire() {
	first := true
	n.cluster.OnIncarnation(func(string) {
		n.tracker.NewIncarnation(first)
		if !first {
			n.hooks.Suspect()
		}
		first = false
	})
	n.cluster.Handle(n.hub)
	n.redis.OnBreak(func() {
		n.tracker.Suspect()
		n.hooks.Suspect()
		n.cluster.Renounce("a connection to Redis broke")
	})
	n.cluster.Start()
	n.hub.Start()
	n.hooks.Start()
}

// open lets the API and the app answer.
func (n *node) open() {
	apiServer := api.New(api.Config{Hub: n.hub, Scripts: n.scripts, Hooks: n.hooks, Nodes: n.cluster.Nodes,
		Access: n.keyGuard(), RemoteAddr: n.remoteAddr, Ready: n.ready, Metrics: n.metrics.Handler(), Observer: n.metrics, Version: versionText(),
		Log: n.log})
	health := apiServer.Health()
	n.watch(n.ready, n.sockets.Measure, n.egress.Measure, n.hub.Measure, n.redis.Measure, n.broker.Measure,
		n.cluster.Measure, n.tracker.Measure, n.app.Measure, n.hooks.Measure,
		n.measureJWKS)
	if n.health != nil {
		n.health.serve(health)
	}
	rest := n.cfg.guardDev(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case n.health == nil && api.ServesHealth(r.URL.Path):
			health.ServeHTTP(w, r)
		case r.URL.Path == js.Path:
			js.Serve(w, r)
		default:
			n.app.ServeHTTP(w, r)
		}
	})
	n.serveWith(func(w http.ResponseWriter, r *http.Request) {
		if api.Serves(r.URL.Path) { // which knows its own callers
			apiServer.ServeHTTP(w, r)
			return
		}
		rest(w, r)
	})
}

// keyGuard decides who may do what needs an API key.
func (n *node) keyGuard() auth.KeyGuard { return auth.KeyGuard{Keys: n.keys.Keys, Dev: n.cfg.Dev} }

// errStarting is why a node that waits for Redis is not ready.
var errStarting = errors.New("waiting for Redis")

// ready says why this node should get no new clients; nil when it should.
func (n *node) ready() error {
	if n.draining.Load() {
		return errors.New("draining")
	}
	return n.cluster.Ready()
}

// remoteAddr is the client's address as handlers see it.
func (n *node) remoteAddr(r *http.Request) string {
	addr := n.cfg.proxies.Client(r)
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

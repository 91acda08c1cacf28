package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"rollcall/overload"
	"rollcall/rawsock"
)

// timeouts are how long the node waits for a client that speaks HTTP; a WebSocket has bounds of its own. Zero fields
// take the defaults.
type timeouts struct {
	header  time.Duration // for the header of a request, and for a TLS handshake: 5 s
	request time.Duration // for header and body: 30 s
	answer  time.Duration // to work on it and to hand the answer over: 2 min
	idle    time.Duration // for the next request of a connection: 60 s
}

func (t timeouts) withDefaults() timeouts {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{{&t.header, 5 * time.Second}, {&t.request, 30 * time.Second}, {&t.answer, 2 * time.Minute}, {&t.idle, time.Minute}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return t
}

// maxHeader bounds the header of a request, in bytes; net/http lets some 4 KiB more pass. Beyond: 431.
const maxHeader = 64 << 10

// newHTTP makes a server that tells a door how its sockets go on. Its bounds end with the upgrade: they do not touch
// WebSockets.
func newHTTP(h http.HandlerFunc, d *door, t timeouts, log *slog.Logger) *http.Server {
	t = t.withDefaults()
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: t.header,
		ReadTimeout:       t.request,
		WriteTimeout:      t.answer,
		IdleTimeout:       t.idle,
		MaxHeaderBytes:    maxHeader,
		ConnState:         d.watch,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// bind makes the node's listener, behind its door.
func (n *node) bind() error {
	cfg := n.cfg
	n.files = openFiles()
	n.admission = overload.NewAdmission(
		overload.Config{Connections: cfg.MaxConnections, PerAddress: cfg.MaxConnectionsPerIP,
			PerUser: cfg.MaxConnectionsPerUser, ConnectRate: cfg.ConnectRate, Sockets: n.files.sockets, Log: n.log})
	ln, err := listen(cfg)
	if err != nil {
		return usagef("--listen: %v: give a free address", err)
	}
	n.door = newDoor(rawsock.Listener(ln), n.admission, n.files, cfg, n.socketRefused, n.log)
	n.ln = n.door
	if cfg.TLSCert == "" {
		return nil
	}
	n.ln, err = listenTLS(n.door, cfg.TLSCert, cfg.TLSKey, n.log)
	return err
}

func listen(cfg *Config) (net.Listener, error) {
	if cfg.inside != nil {
		return cfg.inside.Listener, nil
	}
	var how net.ListenConfig
	if cfg.Ping > 0 {
		how.KeepAlive = -1 // the pings do more, and HTTP has its bounds; four system calls less for each connection
	}
	ln, err := how.Listen(context.Background(), "tcp", cfg.Listen)
	for end := time.Now().Add(devEnd); cfg.Dev && errors.Is(err, syscall.EADDRINUSE) &&
		time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ln, err = how.Listen(context.Background(), "tcp", cfg.Listen) // the one that was ended a moment ago may still have it
	}
	return ln, err
}

// files is how many open files there are for sockets. The rest is for Redis, the app and what handlers fetch: a node
// that could not come back to Redis would lose all its users.
type files struct {
	limit   int // 0: none is known
	sockets int // 0: no limit
	refused int // besides, sockets that are being told that they are refused
}

func filesFor(limit int) files {
	rest := min(limit/4, 1024)
	return files{limit, limit - rest, rest / 4}
}

// openFiles raises the limit of open files, and shares them out.
func openFiles() files {
	limit, known := raiseFiles()
	if !known {
		return files{refused: filesFor(1 << 20).refused}
	}
	return filesFor(limit)
}

func (f files) log(maxConnections int, log *slog.Logger) {
	if f.sockets == 0 {
		return
	}
	log.Info("open files", "limit", f.limit, "sockets", f.sockets)
	if maxConnections > f.sockets {
		log.Warn("there are too few files for --max-connections: raise their limit (ulimit -n)", "max_connections",
			maxConnections, "sockets", f.sockets)
	}
}

// listen begins to serve HTTP. Until the rooms are built the node only says that it is alive, and not ready.
func (n *node) listen(meanwhile http.HandlerFunc) {
	n.serveWith(meanwhile)
	n.http = newHTTP(func(w http.ResponseWriter, r *http.Request) { (*n.handler.Load())(w, r) }, n.door, n.cfg.timeouts,
		n.log)
	n.served = make(chan error, 1)
	go func() {
		n.served <- n.http.Serve(n.ln)
		close(n.served)
	}()
}

func (n *node) serveWith(h http.HandlerFunc) { n.handler.Store(&h) }

// devURL is where the page is.
func devURL(addr net.Addr, secure bool) string {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if secure {
		return "https://localhost:" + port + "/"
	}
	return "http://localhost:" + port + "/"
}

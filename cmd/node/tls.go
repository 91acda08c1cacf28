package main

import (
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// lookAtCertificate is the least time between two looks at the files of a certificate.
const lookAtCertificate = time.Second

// listenTLS makes a listener one for TLS. There is no HTTP/2: a WebSocket is an upgrade of HTTP/1.1. On an error ln is
// closed.
func listenTLS(ln net.Listener, certFile, keyFile string, log *slog.Logger) (net.Listener, error) {
	c, err := openCertificate(certFile, keyFile, log)
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	return tls.NewListener(ln, &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()), nil },
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
	}), nil
}

// certificate is a certificate and its key, in files that may change while the node runs: written anew, renamed into
// place, or behind a symbolic link that is led elsewhere. It looks at them when somebody connects, and needs no
// goroutine. Files that are wrong change nothing, and are logged once.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	current atomic.Pointer[tls.Certificate]
	busy    atomic.Bool // somebody looks

	// Owned by who has set busy.
	looked time.Time
	seen   [2]os.FileInfo // of both files when they were read last, whether they were right or wrong
	told   string         // the error that was logged last
}

// openCertificate reads both files; an error is one of the configuration.
func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, looked: time.Now()}
	seen, err := c.stat()
	if err != nil {
		return nil, err
	}
	c.seen = seen
	return c, c.read()
}

// get is the certificate for a client that connects now. Who comes first looks at the files; the others meanwhile get
// the one that is known.
func (c *certificate) get(now time.Time) *tls.Certificate {
	if c.busy.CompareAndSwap(false, true) {
		if now.Sub(c.looked) >= lookAtCertificate {
			c.looked = now
			c.look()
		}
		c.busy.Store(false)
	}
	return c.current.Load()
}

func (c *certificate) look() {
	seen, err := c.stat()
	if err == nil {
		if unchanged(seen[0], c.seen[0]) && unchanged(seen[1], c.seen[1]) {
			return
		}
		c.seen = seen
		err = c.read()
	}
	switch {
	case err == nil:
		c.told = ""
		c.log.Info("certificate read again", "file", c.certFile, "expires", c.current.Load().Leaf.NotAfter)
	case err.Error() != c.told:
		c.told = err.Error()
		c.log.Error("the certificate stays as it was", "error", err)
	}
}

// stat looks at what the names lead to, behind symbolic links too.
func (c *certificate) stat() (infos [2]os.FileInfo, err error) {
	if infos[0], err = os.Stat(c.certFile); err != nil {
		return infos, usagef("--tls-cert: %v: name a file with the certificate and its chain (PEM)", err)
	}
	if infos[1], err = os.Stat(c.keyFile); err != nil {
		return infos, usagef("--tls-key: %v: name a file with the certificate's key (PEM)", err)
	}
	return infos, nil
}

func unchanged(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func (c *certificate) read() error {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return usagef("--tls-cert: %v: name a file that can be read", err)
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return usagef("--tls-key: %v: name a file that can be read", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return usagef("--tls-cert, --tls-key: %v: give a certificate (PEM) and the key it was made for", err)
	}
	c.current.Store(&pair)
	return nil
}

// checkTLS says what is wrong with the flags.
func checkTLS(certFile, keyFile string) error {
	if (certFile == "") == (keyFile == "") {
		return nil
	}
	flag, other := "--tls-key", "--tls-cert"
	if keyFile != "" {
		flag, other = other, flag
	}
	return usagef("%s: %s is given without it: give both or none", flag, other)
}

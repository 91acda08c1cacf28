package redisconn_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"rollcall/redisconn"
	"rollcall/testkit/redistest"
)

// SPEC 3, --redis: "redis://, rediss://, unix://".
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	redistest.Standalone(t, "--unixsocket", path)
	b := open(t, redisconn.Config{URL: "unix://" + path + "?db=1"})
	works(t, b)
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server := miniredis.NewMiniRedis()
	if err := server.StartTLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der},
		PrivateKey: key}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)

	b := open(t, redisconn.Config{URL: "rediss://" + server.Addr() + "?skip_verify=true"})
	works(t, b)

	if err := open2(t, redisconn.Config{URL: "rediss://" + server.Addr(), Timeout: 300 * time.Millisecond}); err == nil {
		t.Error("a certificate that nobody vouches for was accepted")
	}
}

package auth

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// parsePublicKeys reads one or more PEM blocks: PUBLIC KEY, RSA PUBLIC KEY, or CERTIFICATE, of which only the key
// counts. Line ends may be written as \n, as in environment variables. The error is for the operator.
func parsePublicKeys(text string) ([]key, error) {
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, `\n`, "\n")
	}
	var keys []key
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		public, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		k, err := newPublicKey("", public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	// pem.Decode skips what it cannot read: a damaged block must not go unnoticed.
	switch begun := strings.Count(text, "-----BEGIN"); {
	case begun != len(keys):
		return nil, fmt.Errorf("PEM block %d of %d is damaged: give it as the tool wrote it, with its line ends", len(keys)+1,
			begun)
	case begun == 0:
		return nil, errors.New("no PEM block: give a public key that begins with -----BEGIN PUBLIC KEY-----")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("text after the last PEM block: leave it out")
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (any, error) {
	var public any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = c.PublicKey
		}
	default:
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, errors.New("a private key: keep it with the issuer and give its public key (openssl pkey -pubout)")
		}
		return nil, fmt.Errorf("a PEM block %q: give a PUBLIC KEY", shorten(block.Type))
	}
	if err != nil {
		return nil, fmt.Errorf("a %s that cannot be read: make it with openssl pkey -pubout", block.Type)
	}
	return public, nil
}

// looksPublic tells that a secret is a public key by mistake: all who have that key could sign with it.
func looksPublic(secret []byte) bool {
	for _, mark := range []string{"-----BEGIN", "ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-"} {
		if bytes.Contains(secret, []byte(mark)) {
			return true
		}
	}
	return false
}

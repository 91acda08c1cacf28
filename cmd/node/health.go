package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// healthCmd is for container images without a shell: it exits 0 when /readyz answers 200.
type healthCmd struct {
	Listen       string `default:":6745" help:"Where the node listens, as for serve."`
	HealthListen string `placeholder:"ADDRESS" help:"Where it serves /readyz instead, as for serve."`
}

func (h *healthCmd) Run(ctx context.Context) error {
	flag, listen := "--listen", h.Listen
	if h.HealthListen != "" {
		flag, listen = "--health-listen", h.HealthListen
	}
	addr, err := askAddress(flag, listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	status, err := readiness(ctx, "http://"+addr)
	if status == http.StatusBadRequest { // what a TLS listener answers to plain HTTP
		status, err = readiness(ctx, "https://"+addr)
	}
	if err != nil {
		return fmt.Errorf("ask for readiness: %w", err)
	}
	if status != http.StatusOK {
		return errors.New("not ready")
	}
	return nil
}

// readiness asks for /readyz. The certificate is for the name that clients use, not for this address, and no secret is
// sent: it is not checked.
func readiness(ctx context.Context, url string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

package main

import (
	"context"
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
	url, err := askAddress(flag, listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask for readiness: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask for readiness: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("not ready")
	}
	return nil
}

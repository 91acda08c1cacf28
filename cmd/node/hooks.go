package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
)

// hooksCmd asks a running cluster for its hooks.
type hooksCmd struct {
	Server string `default:"http://127.0.0.1:6745" help:"Where a node of the cluster answers."`
	APIKey string `name:"api-key" help:"A key with the scope read, or admin for --sync."`
	JSON   bool   `name:"json" env:"-" help:"Print the answer as JSON."`
	Sync   string `env:"-" placeholder:"NAME" help:"Tell the sink of this hook everything anew; a paused hook goes on."`
}

// hookLine is one hook of GET /_api/hooks.
type hookLine struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	Owed      int64  `json:"owed"`
	OldestMS  int64  `json:"oldest_ms"`
	Delivered int64  `json:"delivered"`
	LastError string `json:"last_error"`
}

func (h *hooksCmd) Run(ctx context.Context, k *kong.Kong) error {
	if h.Sync != "" {
		if _, err := h.ask(ctx, http.MethodPost, "/_api/hooks/"+url.PathEscape(h.Sync)+"/sync"); err != nil {
			return fmt.Errorf("synchronise hook %s: %w", h.Sync, err)
		}
	}
	body, err := h.ask(ctx, http.MethodGet, "/_api/hooks")
	if err != nil {
		return fmt.Errorf("list hooks: %w", err)
	}
	if h.JSON {
		_, err := fmt.Fprintln(k.Stdout, strings.TrimSpace(string(body)))
		return err
	}
	var list struct{ Hooks []hookLine }
	if err := json.Unmarshal(body, &list); err != nil {
		return fmt.Errorf("list hooks: %s answers something else than a node: %w", h.Server, err)
	}
	if len(list.Hooks) == 0 {
		_, err := fmt.Fprintln(k.Stdout, "the app has no hooks (config/hooks.lua)")
		return err
	}
	out := tabwriter.NewWriter(k.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "NAME\tSTATE\tOWED\tOLDEST\tDELIVERED\tLAST ERROR")
	for _, l := range list.Hooks {
		age := (time.Duration(l.OldestMS) * time.Millisecond).Round(100 * time.Millisecond)
		fmt.Fprintf(out, "%s\t%s\t%d\t%v\t%d\t%s\n", l.Name, l.State, l.Owed, age, l.Delivered, l.LastError)
	}
	return out.Flush()
}

// maxList bounds what is read of an answer, in bytes.
const maxList = 1 << 20

// ask calls the API. A problem document becomes the error.
func (h *hooksCmd) ask(ctx context.Context, method, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(h.Server, "/")+path, nil)
	if err != nil {
		return nil, usagef("--server: %v: name a node like http://127.0.0.1:6745", err)
	}
	if h.APIKey != "" {
		req.Header.Set("X-API-Key", h.APIKey)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxList))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		var problem struct{ Detail string }
		if json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
			return nil, errors.New(problem.Detail)
		}
		return nil, errors.New(resp.Status)
	}
	return body, nil
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"

	"rollcall/app"
)

// checkCmd loads an app and reports every error in it.
type checkCmd struct {
	App  string `arg:"" help:"The app folder."`
	JSON bool   `name:"json" env:"-" help:"Print what was found as JSON."`
}

// checked is what check --json prints.
type checked struct {
	App      string        `json:"app"`
	Routes   int           `json:"routes"`
	Scripts  int           `json:"scripts"`
	Jobs     int           `json:"jobs"`
	Mistakes []app.Mistake `json:"mistakes"`
}

func (c *checkCmd) Run(k *kong.Kong, env app.Env) error {
	a, mistakes, err := app.Check(c.App, app.LoadOptions{HasKeys: true, Env: env}) // as a node that has keys for tokens
	switch {
	case errors.Is(err, app.ErrEmpty):
		return fmt.Errorf("%w: make one with %s new DIR, or name a folder that has config/routes.lua, handlers/, scripts/ or public/",
			err, program)
	case err != nil:
		return usagef("%v", err)
	}
	found := checked{App: c.App, Mistakes: mistakes}
	if a != nil {
		found.Routes, found.Scripts, found.Jobs = len(a.Routes()), len(a.ScriptFiles()), len(a.Jobs())
	}
	if err := c.print(k.Stdout, k.Stderr, found); err != nil {
		return err
	}
	if len(mistakes) > 0 {
		return errTold
	}
	return nil
}

func (c *checkCmd) print(out, errs io.Writer, found checked) error {
	if c.JSON {
		if found.Mistakes == nil {
			found.Mistakes = []app.Mistake{}
		}
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(found)
	}
	n := len(found.Mistakes)
	if n == 0 {
		_, err := fmt.Fprintf(out, "%s is right: %s, %s, %s\n", found.App, count(found.Routes, "route"),
			count(found.Scripts, "script"), count(found.Jobs, "job"))
		return err
	}
	if _, err := fmt.Fprintf(errs, "%s: %s has %s:\n", program, found.App, count(n, "error")); err != nil {
		return err
	}
	for _, m := range found.Mistakes {
		if _, err := fmt.Fprintln(errs, m.Error()); err != nil {
			return err
		}
	}
	return nil
}

// count says how many there are of something.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprint(n, " ", what, "s")
}

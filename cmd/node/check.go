package main

import (
	"errors"
	"fmt"

	"github.com/alecthomas/kong"

	"rollcall/app"
)

// checkCmd loads an app and reports every error in it.
type checkCmd struct {
	App string `arg:"" help:"The app folder."`
}

func (c *checkCmd) Run(k *kong.Kong) error {
	a, problems := app.Load(c.App, app.LoadOptions{HasKeys: true})
	if len(problems) > 0 {
		if errors.Is(problems[0], app.ErrMissing) {
			return usagef("%v", problems[0])
		}
		return fmt.Errorf("%s has %d errors:\n%w", c.App, len(problems), errors.Join(problems...))
	}
	_, err := fmt.Fprintf(k.Stdout, "%s is right: %d routes, %d scripts\n", c.App, len(a.Routes()), len(a.ScriptFiles()))
	return err
}

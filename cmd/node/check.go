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

func (c *checkCmd) Run(k *kong.Kong, env app.Env) error {
	a, err := checkApp(c.App, env)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(k.Stdout, "%s is right: %d routes, %d scripts, %d jobs\n", c.App, len(a.Routes()),
		len(a.ScriptFiles()), len(a.Jobs()))
	return err
}

// checkApp loads an app as a node that has keys for tokens does.
func checkApp(dir string, env app.Env) (*app.App, error) {
	a, problems := app.Load(dir, app.LoadOptions{HasKeys: true, Env: env})
	switch {
	case len(problems) == 0:
		return a, nil
	case errors.Is(problems[0], app.ErrMissing):
		return nil, usagef("%v", problems[0])
	}
	return nil, fmt.Errorf("%s has %d errors:\n%w", dir, len(problems), errors.Join(problems...))
}

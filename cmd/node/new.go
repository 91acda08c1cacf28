package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"rollcall/app/scaffold"
)

// newCmd makes a small app to begin with.
type newCmd struct {
	Dir string `arg:"" help:"The folder to make it in; what is there already must be empty."`
}

func (c *newCmd) Run(k *kong.Kong) error {
	names, err := scaffold.Write(c.Dir)
	switch {
	case errors.Is(err, scaffold.ErrNotEmpty):
		return usagef("new: %v: name a folder that is empty or not there", err)
	case err != nil:
		return err
	}
	dir := quoted(filepath.Clean(c.Dir))
	_, err = fmt.Fprintf(k.Stdout, `made %s: %s

next:
  %[3]s check %[1]s
  %[3]s test %[1]s
  %[3]s --dev --app %[1]s
`, dir, strings.Join(names, ", "), program)
	return err
}

// quoted is a path as a shell takes it.
func quoted(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	if strings.IndexFunc(path, func(r rune) bool { return !strings.ContainsRune("/._-", r) && !isAlnum(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

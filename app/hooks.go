package app

import (
	"errors"
	"fmt"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/history"
	"rollcall/hooks"
)

// hooksFile says which back ends are told who is present (SPEC 10).
const hooksFile = "config/hooks.lua"

// hooks runs config/hooks.lua. Without the file there are none.
func (l *loader) hooks() {
	h := hookReader{places: map[string]string{}}
	l.config(hooksFile, map[string]configFunction{"hook": h.hook})
	l.problems = append(l.problems, h.problems...)
	l.app.hooks = h.hooks
}

// Hooks lists the hooks in the order of config/hooks.lua.
func (a *App) Hooks() []hooks.Hook { return slices.Clone(a.hooks) }

// hookReader collects what config/hooks.lua registers, and every mistake.
type hookReader struct {
	hooks    []hooks.Hook
	places   map[string]string // by name
	problems []error
}

// hook takes the arguments of hook("crm", { channels = {"room:*"}, url = "https://…", secret = env("HOOK_SECRET") }).
func (r *hookReader) hook(place string, args []lua.LValue) {
	problem := func(format string, a ...any) {
		r.problems = append(r.problems, Problem{place, fmt.Sprintf(format, a...)})
	}
	arg := argumentsOf(args)
	name, ok := arg(0).(lua.LString)
	if !ok {
		problem("hook: the first argument must be a name like \"crm\", not %s", describe(arg(0)))
		return
	}
	call := fmt.Sprintf("hook(%q)", string(name))
	if err := hooks.CheckName(string(name)); err != nil {
		problem("%s: the name %v", call, err)
		return
	}
	options, ok := arg(1).(*lua.LTable)
	if !ok || len(args) > 2 {
		problem("%s: takes a name and a table like { channels = {\"room:*\"}, url = \"https://…\", secret = env(\"HOOK_SECRET\") }",
			call)
		return
	}
	h, err := readHook(options)
	h.Name = string(name)
	switch {
	case err != nil:
		problem("%s: %v", call, err)
		return
	case r.places[h.Name] != "":
		problem("%s: the same name is at %s", call, r.places[h.Name])
		return
	case len(r.hooks) == hooks.MaxHooks:
		problem("%s: an app has %d hooks at most", call, hooks.MaxHooks)
		return
	}
	r.places[h.Name] = place
	r.hooks = append(r.hooks, h)
}

// hookOptions are the names in a hook's table.
var hookOptions = []string{"channels", "url", "secret", "stream", "events", "settle"}

func readHook(options *lua.LTable) (h hooks.Hook, err error) {
	h.Events = []hooks.Kind{hooks.Join, hooks.Leave}
	for k, v := options.Next(lua.LNil); k != lua.LNil; k, v = options.Next(k) {
		name, _ := k.(lua.LString)
		switch name {
		case "channels":
			h.Channels, err = readTexts(v, hooks.MaxPatterns, history.CheckPattern)
		case "url":
			h.URL, err = readText(v, hooks.CheckURL)
		case "secret":
			h.Secrets, err = readTexts(v, hooks.MaxSecrets, func(s string) error {
				_, err := hooks.Key(s)
				return err
			})
		case "stream":
			h.Stream, err = readText(v, hooks.CheckName)
		case "events":
			h.Events, err = readKinds(v)
		case "settle":
			ms, ok := wholeNumber(v)
			if most := hooks.MaxSettle.Milliseconds(); !ok || ms < 0 || ms > most {
				err = fmt.Errorf("must be a whole number of ms from 0 to %d, not %s", most, describe(v))
			}
			h.Settle = time.Duration(ms) * time.Millisecond
		default:
			return h, fmt.Errorf("unknown option %s%s", describe(k), orMeant(string(name), hookOptions))
		}
		if err != nil {
			return h, fmt.Errorf("%s: %w", name, err)
		}
	}
	switch {
	case len(h.Channels) == 0:
		return h, errors.New("channels is needed: names, or what names begin with and a *")
	case (h.URL == "") == (h.Stream == ""):
		return h, errors.New("either url or stream is needed")
	case h.URL != "" && len(h.Secrets) == 0:
		return h, errors.New("secret is needed with url; is its variable set?")
	case h.Stream != "" && len(h.Secrets) > 0:
		return h, errors.New("secret goes with url: nothing is signed in a stream")
	}
	return h, nil
}

// readText reads a string that fits.
func readText(v lua.LValue, check func(string) error) (string, error) {
	s, ok := v.(lua.LString)
	if !ok {
		return "", fmt.Errorf("must be a string, not %s", describe(v))
	}
	return string(s), check(string(s))
}

// readTexts reads a string, or an array of at least one.
func readTexts(v lua.LValue, most int, check func(string) error) (list []string, err error) {
	t, ok := v.(*lua.LTable)
	if !ok {
		s, err := readText(v, check)
		return []string{s}, err
	}
	err = eachElement(t, func(_ int, v lua.LValue) error {
		s, err := readText(v, check)
		switch {
		case err != nil:
			return err
		case len(list) == most:
			return fmt.Errorf("may have %d at most", most)
		case slices.Contains(list, s):
			return errors.New("has one twice")
		}
		list = append(list, s)
		return nil
	})
	if err == nil && len(list) == 0 {
		err = errors.New("must not be empty")
	}
	return list, err
}

func readKinds(v lua.LValue) (kinds []hooks.Kind, err error) {
	var names []string
	for _, k := range hooks.Kinds() {
		names = append(names, string(k))
	}
	list, err := readTexts(v, len(names), func(s string) error {
		if !slices.Contains(names, s) {
			return fmt.Errorf("%q is no event%s (known: %v)", s, orMeant(s, names), names)
		}
		return nil
	})
	for _, name := range list {
		kinds = append(kinds, hooks.Kind(name))
	}
	return kinds, err
}

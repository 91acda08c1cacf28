package app

import (
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/naming"
)

// Limits of jobs (SPEC 11).
const (
	maxJobs   = 64 // of an app
	minPeriod = time.Second
	maxPeriod = 30 * 24 * time.Hour
)

// Job is one every(…) of config/routes.lua. It does not change once loaded.
type Job struct {
	Name    string
	Period  time.Duration
	Handler string // "jobs#digest"

	endpoint
}

// every takes the arguments of one every(name, options, handler).
func (r *router) every(place string, args []lua.LValue) {
	arg := argumentsOf(args)
	name, ok := arg(0).(lua.LString)
	if !ok || !naming.Valid(string(name)) {
		r.problem(place, "every: the first argument must be the job's name, 1 to %d bytes of UTF-8 without control "+
			"characters, not %s", naming.MaxBytes, describe(arg(0)))
		return
	}
	call := fmt.Sprintf("every(%q)", string(name))
	j := &Job{Name: string(name)}
	bad := len(r.problems)
	var texts []string
	j.Period, texts = parsePeriod(arg(1))
	for _, text := range texts {
		r.problem(place, "%s: %s", call, text)
	}
	handler, ok := arg(2).(lua.LString)
	if !ok {
		r.problem(place, "%s: the third argument must be a handler like \"jobs#digest\", not %s", call, describe(arg(2)))
	} else {
		file, fn, err := splitHandler(string(handler))
		if err != nil {
			r.problem(place, "%s: %v", call, err)
		}
		j.Handler, j.endpoint = string(handler), endpoint{what: call, place: place, file: file, fn: fn}
	}
	if len(args) > 3 {
		r.problem(place, "%s: takes a name, a table of options and a handler", call)
	}
	for _, o := range r.jobs {
		if o.Name == j.Name {
			r.problem(place, "%s: there is a job of this name at %s", call, o.place)
		}
	}
	if len(r.jobs) == maxJobs {
		r.problem(place, "%s: an app has %d jobs at most", call, maxJobs)
	}
	if len(r.problems) == bad {
		r.jobs = append(r.jobs, j)
	}
}

// parsePeriod reads the options of a job; bad lists what is wrong with them.
func parsePeriod(v lua.LValue) (period time.Duration, bad []string) {
	t, ok := v.(*lua.LTable)
	if !ok {
		return 0, []string{"the second argument must be options like { seconds = 60 }, not " + describe(v)}
	}
	least, most := int64(minPeriod/time.Second), int64(maxPeriod/time.Second)
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		if k != lua.LString("seconds") {
			bad = append(bad, fmt.Sprintf("unknown option %s (known: seconds)", keyText(k)))
			continue
		}
		seconds, ok := wholeNumber(v)
		if !ok || seconds < least || seconds > most {
			bad = append(bad, fmt.Sprintf("seconds must be a whole number from %d to %d (30 days), not %s", least, most,
				describe(v)))
		}
		period = time.Duration(seconds) * time.Second
	}
	if period == 0 && len(bad) == 0 {
		bad = append(bad, "the option seconds is missing")
	}
	return period, bad
}

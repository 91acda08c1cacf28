package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/cluster"
	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/overload"
)

// nobodyWaits is the caller of a job's turn: there is none, who could go.
type nobodyWaits struct{}

func (nobodyWaits) goneSince(time.Time, bool) time.Time { return time.Time{} }

// errPeriodOver says that the node was held up between the claim and the handler.
var errPeriodOver = errors.New("the period was over before the handler could be called")

// period asks for the present period of a job, and runs it when this node has won.
func (s *Server) period(j *job, def *Job, in *instance) JobOutcome {
	log := s.cfg.Log.With("job", def.Name)
	claim, err := s.cfg.Periods.ClaimPeriod(s.ctx, cluster.Job{App: in.app.Name, Name: def.Name, Period: def.Period},
		j.heard)
	if err != nil {
		log.Warn("period of a job not claimed", "error", err)
		return JobFailed
	}
	j.heard = max(j.heard, claim.Last)
	switch claim.Outcome {
	case cluster.Won:
	case cluster.Taken:
		return JobElsewhere
	default:
		log.Debug("period of a job left out", "lease", string(claim.Outcome))
		return JobUnsure
	}
	start := time.Now()
	err = s.runJob(j, def, in, claim)
	if errors.Is(err, errPeriodOver) {
		log.Warn("job not run", "error", err, "at", claim.At)
		return JobLate
	}
	s.cfg.Observer.Ran(RunJob, def.Name, time.Since(start))
	if err != nil {
		s.failedJob(j, def, err, reasonOf(err, ReasonActions))
	}
	return JobRan
}

// jobFields are those of the event that a job's handler is given; jobActions are what it may return.
var (
	jobFields  = []string{"type", "name", "at"}
	jobActions = []string{hub.ActionBroadcast.String(), hub.ActionBroadcastChannel.String()}
)

// runJob calls the handler of a job and carries out what it returns. The error is one of the handler.
func (s *Server) runJob(j *job, def *Job, in *instance, claim cluster.Claim) error {
	t := s.newTurn(nobodyWaits{})
	defer t.end()
	c := call{server: s, app: in.app, route: "job " + def.Name, turn: t, calls: &overload.Limiter{}, lines: &j.lines}
	var actions []hub.Action
	took, err := s.onWorker(in.pools[def.file], j.use, c, func(w *worker) (err error) {
		if !time.Now().Before(claim.Ends) {
			return errPeriodOver
		}
		event := luavm.NewObject(3)
		event.Set("type", lua.LString(RunJob))
		event.Set("name", lua.LString(def.Name))
		event.Set("at", lua.LNumber(claim.At))
		v, err := w.vm.Call1(w.fns[def.index], event.Table())
		if err == nil {
			actions, err = readJobActions(v, s.cfg.Limits.Value, returnedAt(w.vm, location{file: def.file}))
		}
		return err
	})
	j.use = j.use.add(s.now(), took)
	if err != nil {
		return err
	}
	if t.calls+len(actions) > maxCalls {
		return fmt.Errorf("with its actions %w", errTooManyCalls)
	}
	if len(actions) > 0 {
		for _, e := range s.cfg.Hub.Do(t.context(), actions) {
			s.failedJob(j, def, e, ReasonAction)
		}
	}
	return t.over()
}

// readJobActions reads what a job's handler returned: broadcasts, since it has no connection for anything else.
func readJobActions(v lua.LValue, limit int, at location) ([]hub.Action, error) {
	r := actionReader{limit: limit}
	if err := r.read(v); err != nil {
		return nil, &invalidReturn{err, at}
	}
	for _, a := range r.actions {
		if !slices.Contains(jobActions, a.Kind.String()) {
			return nil, &invalidReturn{fmt.Errorf("%s: a job has no connection; it may return %s", a.Kind,
				strings.Join(jobActions, " and ")), at}
		}
	}
	return r.actions, nil
}

// failedJob logs and counts a failure. The next period comes all the same.
func (s *Server) failedJob(j *job, def *Job, err error, reason Reason) {
	f := Failure{Kind: RunJob, Route: def.Name, File: def.file, Reason: reason, Message: err.Error()}
	if file, line := locate(err); file != "" {
		f.File, f.Line = file, line
	}
	f.source = s.App().sources[f.File]
	s.failed(&j.lines, f, "handler", def.Handler, "traceback", traceback(err))
}

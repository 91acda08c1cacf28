package main

import (
	"net/http"
	"time"

	"rollcall/app"
	"rollcall/overload"
)

// admit decides about one upgrade (app.Config.Admit).
func (n *node) admit(r *http.Request, user string) (release func(), refused *app.Refusal) {
	c := overload.Client{Address: overload.ParseAddress(n.remoteAddr(r)), User: user}
	why := overload.Draining
	if !n.draining.Load() {
		why = n.admission.Enter(time.Now(), c)
	}
	if why != "" {
		n.metrics.Refused(string(why))
		return nil, refusalFor(why)
	}
	return func() { n.admission.Leave(c) }, nil
}

// refusalFor is what a client is told that is refused.
func refusalFor(why overload.Reason) *app.Refusal {
	status, retryAfter, detail := why.Answer()
	return &app.Refusal{Status: status, RetryAfter: retryAfter, Detail: detail}
}

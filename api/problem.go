package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"rollcall/app"
	"rollcall/hooks"
	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/redisconn"
)

// fail is the one table from errors to answers.
func (s *Server) fail(err error) error {
	var compile *luavm.CompileError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &compile):
		return &compileProblem{huma.ErrorModel{Title: http.StatusText(http.StatusUnprocessableEntity),
			Status: http.StatusUnprocessableEntity,
			Detail: fmt.Sprintf("the code does not compile: line %d: %s", compile.Line, compile.Message),
			Errors: []*huma.ErrorDetail{at("body.code", compile.Message)}}, compile.Line, compile.Message}
	case errors.Is(err, hub.ErrBadChannel):
		return unprocessable("path.channel", err.Error())
	case errors.Is(err, hub.ErrBadID):
		return huma.Error404NotFound("there is no such connection", at("path.id", err.Error()))
	case errors.Is(err, hub.ErrOtherCall):
		return unprocessable("header.Idempotency-Key", err.Error())
	case errors.Is(err, app.ErrBadMethod):
		return unprocessable("query.method", err.Error())
	case errors.Is(err, app.ErrTooBig):
		return huma.NewError(http.StatusRequestEntityTooLarge, err.Error(), at("body.code", err.Error()))
	case errors.Is(err, app.ErrFull):
		return unprocessable("path.path", err.Error())
	case errors.Is(err, app.ErrBadPath):
		return unprocessable("path.path", err.Error())
	case errors.Is(err, app.ErrNotFound):
		return huma.Error404NotFound(err.Error(), at("path.path", err.Error()))
	case errors.Is(err, hooks.ErrUnknown):
		return huma.Error404NotFound(err.Error(), at("path.name", err.Error()))
	case errors.Is(err, hub.ErrSilent):
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("the connection's node did not answer in time"),
			retryAfter)
	case errors.Is(err, hub.ErrUnavailable), errors.Is(err, redisconn.ErrUnavailable):
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("Redis cannot be reached"), retryAfter)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("the call was cut off"), retryAfter)
	}
	s.cfg.Log.Error("API call failed", "error", err)
	return huma.Error500InternalServerError("the node could not do it; its log says why")
}

var retryAfter = http.Header{"Retry-After": {"1"}}

// compileProblem is a problem document with the line of the fault.
type compileProblem struct {
	huma.ErrorModel
	Line    int    `json:"line,omitempty" doc:"Line of the code that does not compile."`
	Message string `json:"message,omitempty" doc:"What the compiler says of it."`
}

// at names the part of a request that is wrong: "body.message", "query.limit", "path.channel".
func at(location, message string) *huma.ErrorDetail {
	return &huma.ErrorDetail{Location: location, Message: message}
}

func unprocessable(location, message string) error {
	return huma.Error422UnprocessableEntity(message, at(location, message))
}

// problem is why a request does not reach its operation.
type problem struct {
	status int
	detail string
	where  *huma.ErrorDetail // nil: not in one part of the request
}

// answer writes a problem document outside of an operation's own code.
func (s *Server) answer(ctx huma.Context, p *problem) {
	if p.status == http.StatusUnauthorized {
		ctx.SetHeader("WWW-Authenticate", `Bearer realm="rollcall"`)
	}
	var where []error
	if p.where != nil {
		where = append(where, p.where)
	}
	_ = huma.WriteErr(s.api, ctx, p.status, p.detail, where...) // the client has gone
}

// maxErrors is how many errors one document lists.
const maxErrors = 20

// tidy makes huma's problem documents say where a missing field belongs, and keeps them from giving a whole body back.
func tidy(_ huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p.Errors = p.Errors[:min(len(p.Errors), maxErrors)]
	for _, e := range p.Errors {
		var name string
		if n, _ := fmt.Sscanf(e.Message, validation.MsgExpectedRequiredProperty, &name); n == 1 {
			e.Location += "." + name
		}
		switch value := e.Value.(type) {
		case string:
			if len(value) > 100 {
				e.Value = nil
			}
		case bool, float64, int, nil:
		default:
			e.Value = nil
		}
	}
	if p.Detail == "validation failed" && len(p.Errors) > 0 {
		p.Detail = strings.TrimPrefix(p.Errors[0].Location+": "+p.Errors[0].Message, ": ")
	}
	return p, nil
}

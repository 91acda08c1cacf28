package api

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/app"
	"rollcall/auth"
)

// maxBody bounds every body: a script and what JSON adds to it.
const maxBody = 8 * app.MaxCode

type ScriptPath struct {
	DB     string `path:"db" doc:"First segment of the path."`
	Path   string `path:"path" doc:"The rest of the path; it may have several segments, and :name is a parameter."`
	Method string `query:"method" default:"WS" doc:"WS for connection scripts; GET, POST, PUT, PATCH or DELETE for HTTP scripts."`
}

// scriptInput takes JSON {method, code}, or Lua source as it is.
type scriptInput struct {
	ScriptPath
	ContentType string `header:"Content-Type"`
	RawBody     []byte
}

type scriptBody struct {
	Method string `json:"method,omitempty" doc:"As the query's method, which it replaces." default:"WS"`
	Code   string `json:"code" doc:"Lua source."`
}

type oneScript struct{ Body app.Script }

type scriptList struct {
	Body struct {
		Scripts []app.Script `json:"scripts" nullable:"false"`
	}
}

// scripts registers the script registry.
func (s *Server) scripts(api huma.API) {
	const path = "/_api/custom/{db}/{path...}"
	huma.Register(api, operation("list-scripts", http.MethodGet, "/_api/custom", "List the registered scripts", auth.Admin, http.StatusOK),
		func(ctx context.Context, _ *struct{}) (*scriptList, error) {
			list, err := s.cfg.Scripts.List(ctx)
			if err != nil {
				return nil, s.fail(err)
			}
			out := &scriptList{}
			out.Body.Scripts = append([]app.Script{}, list...)
			return out, nil
		})
	get := operation("get-script", http.MethodGet, path, "Read a registered script", auth.Admin, http.StatusOK)
	get.Errors = append(get.Errors, http.StatusNotFound)
	huma.Register(api, get, func(ctx context.Context, in *ScriptPath) (*oneScript, error) {
		got, err := s.cfg.Scripts.Get(ctx, in.DB, in.Path, in.Method)
		if err != nil {
			return nil, s.fail(err)
		}
		return &oneScript{got}, nil
	})
	put := operation("put-script", http.MethodPost, path, "Register a script, or replace it", auth.Admin, http.StatusCreated)
	put.SkipValidateBody = true // by hand: two forms
	put.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: api.OpenAPI().Components.Schemas.Schema(typeOf[scriptBody](), true, "ScriptBody")},
		"text/x-lua":       {Schema: &huma.Schema{Type: huma.TypeString}},
	}}
	huma.Register(api, put, func(ctx context.Context, in *scriptInput) (*oneScript, error) {
		method, code := in.Method, string(in.RawBody)
		if kind, _, err := mime.ParseMediaType(in.ContentType); err == nil && kind == "application/json" {
			body, err := scriptBodyOf(in.RawBody)
			if err != nil {
				return nil, err
			}
			if code = body.Code; body.Method != "" {
				method = body.Method
			}
		}
		put, err := s.cfg.Scripts.Put(ctx, in.DB, in.Path, method, code)
		if err != nil {
			return nil, s.fail(err)
		}
		s.audit(ctx, "register script", "db", put.DB, "path", put.Path, "method", put.Method, "version", put.Version)
		return &oneScript{put}, nil
	})
	del := operation("delete-script", http.MethodDelete, path, "Remove a registered script; a file of the same path is served again", auth.Admin, http.StatusNoContent)
	del.Errors = append(del.Errors, http.StatusNotFound)
	huma.Register(api, del, func(ctx context.Context, in *ScriptPath) (*struct{}, error) {
		if err := s.cfg.Scripts.Delete(ctx, in.DB, in.Path, in.Method); err != nil {
			return nil, s.fail(err)
		}
		s.audit(ctx, "remove script", "db", in.DB, "path", in.Path, "method", in.Method)
		return nil, nil
	})
}

// scriptBodyOf reads the JSON form.
func scriptBodyOf(raw []byte) (scriptBody, error) {
	var fields map[string]json.RawMessage
	switch {
	case !json.Valid(raw):
		return scriptBody{}, huma.Error400BadRequest("the body is no JSON", &huma.ErrorDetail{Location: "body", Message: "no JSON"})
	case json.Unmarshal(raw, &fields) != nil:
		return scriptBody{}, huma.Error422UnprocessableEntity("the body is no JSON object", &huma.ErrorDetail{Location: "body", Message: "must be an object"})
	}
	var b scriptBody
	for name, into := range map[string]*string{"method": &b.Method, "code": &b.Code} {
		if v, ok := fields[name]; ok {
			if err := json.Unmarshal(v, into); err != nil {
				return b, huma.Error422UnprocessableEntity(name+" must be a string", &huma.ErrorDetail{Location: "body." + name, Message: "must be a string"})
			}
		}
		delete(fields, name)
	}
	for name := range fields {
		return b, huma.Error422UnprocessableEntity("unknown field "+name, &huma.ErrorDetail{Location: "body." + name, Message: "unknown field"})
	}
	if b.Code == "" {
		return b, huma.Error422UnprocessableEntity("code is missing", &huma.ErrorDetail{Location: "body.code", Message: "missing"})
	}
	return b, nil
}

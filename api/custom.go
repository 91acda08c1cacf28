package api

import (
	"context"
	"net/http"
	"reflect"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/app"
	"rollcall/auth"
	"rollcall/ijson"
)

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

// scriptBody is the JSON form.
type scriptBody struct {
	Method string `json:"method,omitempty" doc:"In place of the query's method."`
	Code   string `json:"code" doc:"Lua source."`
}

type oneScript struct{ Body app.Script }

type scriptList struct {
	Body struct {
		Scripts []app.Script `json:"scripts" nullable:"false"`
	}
}

// scripts registers the script registry.
func (s *Server) scripts() {
	const path = "/_api/custom/{db}/{path...}"
	huma.Register(s.api, operation("list-scripts", http.MethodGet, "/_api/custom", "List the registered scripts",
		auth.Admin, http.StatusOK),
		func(ctx context.Context, _ *struct{}) (*scriptList, error) {
			list, err := s.cfg.Scripts.List(ctx)
			if err != nil {
				return nil, s.fail(err)
			}
			out := &scriptList{}
			out.Body.Scripts = append([]app.Script{}, list...)
			return out, nil
		})
	huma.Register(s.api, operation("get-script", http.MethodGet, path, "Read a registered script", auth.Admin,
		http.StatusOK, http.StatusNotFound),
		func(ctx context.Context, in *ScriptPath) (*oneScript, error) {
			got, err := s.cfg.Scripts.Get(ctx, in.DB, in.Path, in.Method)
			if err != nil {
				return nil, s.fail(err)
			}
			return &oneScript{got}, nil
		})
	s.putScript(path)
	huma.Register(s.api, operation("delete-script", http.MethodDelete, path,
		"Remove a registered script; a file of the same path is served again", auth.Admin, http.StatusNoContent,
		http.StatusNotFound),
		func(ctx context.Context, in *ScriptPath) (*struct{}, error) {
			err := s.cfg.Scripts.Delete(ctx, in.DB, in.Path, in.Method)
			s.audit(ctx, "remove script", outcomeOf(err), "db", in.DB, "path", in.Path, "method", in.Method)
			return nil, s.fail(err)
		})
}

func (s *Server) putScript(path string) {
	schemas := s.api.OpenAPI().Components.Schemas
	body := schemas.Schema(reflect.TypeFor[scriptBody](), true, "ScriptBody")
	put := operation("put-script", http.MethodPost, path, "Register a script, or replace it", auth.Admin,
		http.StatusCreated)
	put.Metadata[metaBody] = int64(maxScript)
	put.SkipValidateBody = true // by hand: two forms
	put.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: body},
		"*/*":              {Schema: &huma.Schema{Type: huma.TypeString, Description: "Lua source."}},
	}}
	huma.Register(s.api, put, func(ctx context.Context, in *scriptInput) (*oneScript, error) {
		method, code := in.Method, string(in.RawBody)
		if ijson.IsMediaType(in.ContentType) {
			b, err := s.scriptBodyOf(in.RawBody, body)
			if err != nil {
				return nil, err
			}
			if code = b.Code; b.Method != "" {
				method = b.Method
			}
		}
		if !utf8.ValidString(code) {
			return nil, unprocessable("body.code", "the code is not UTF-8")
		}
		put, err := s.cfg.Scripts.Put(ctx, in.DB, in.Path, method, code)
		s.audit(ctx, "register script", outcomeOf(err), "db", in.DB, "path", in.Path, "method", method, "version",
			put.Version)
		if err != nil {
			return nil, s.fail(err)
		}
		return &oneScript{put}, nil
	})
	compile := schemas.Schema(reflect.TypeFor[compileProblem](), true, "CompileProblem")
	s.api.OpenAPI().Paths[path].Post.Responses["422"].Content["application/problem+json"].Schema = compile
}

// scriptBodyOf reads the JSON form.
func (s *Server) scriptBodyOf(raw []byte, schema *huma.Schema) (b scriptBody, err error) {
	if p := strict(raw); p != nil {
		return b, huma.NewError(p.status, p.detail, p.where)
	}
	var v any
	if err := exactNames.Unmarshal(raw, &v); err != nil {
		return b, huma.Error400BadRequest("the body is no JSON", at("body", err.Error()))
	}
	pb, found := huma.NewPathBuffer(nil, 0), huma.ValidateResult{}
	pb.Push("body")
	huma.Validate(s.api.OpenAPI().Components.Schemas, schema, pb, huma.ModeWriteToServer, v, &found)
	if len(found.Errors) > 0 {
		return b, huma.Error422UnprocessableEntity("validation failed", found.Errors...)
	}
	if method, there := v.(map[string]any)["method"]; there && method == nil {
		return b, unprocessable("body.method", "expected string")
	}
	if err := exactNames.Unmarshal(raw, &b); err != nil {
		return b, unprocessable("body", err.Error())
	}
	if b.Code == "" {
		return b, unprocessable("body.code", "it is empty")
	}
	return b, nil
}

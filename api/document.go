package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/auth"
)

// openAPIType is the media type of the document.
const openAPIType = "application/json"

// rawDocument is JSON that is written as it is.
type rawDocument struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// Names in an operation's metadata.
const (
	metaScope = "scope" // auth.Scope that a caller needs
	metaBody  = "body"  // int64, bytes that a body may have
)

// operation describes one row of SPEC 2.
func operation(id, method, path, summary string, scope auth.Scope, status int, more ...int) huma.Operation {
	errs := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity,
		http.StatusServiceUnavailable}
	if method == http.MethodPost {
		errs = append(errs, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	// The guard sees to scopes and to bodies, so huma has no bounds of its own.
	return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, DefaultStatus: status,
		Tags:         []string{tagOf(path)},
		Metadata:     map[string]any{metaScope: scope, metaBody: int64(maxMessage)},
		MaxBodyBytes: -1, BodyReadTimeout: -1,
		Description: "Needs a key with the scope " + string(scope) + ".", Errors: append(errs, more...)}
}

func tagOf(path string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/_api/"), "/")
	name, _, _ = strings.Cut(name, ".")
	return name
}

// polish makes the document true where huma cannot know: {path...} is ServeMux's way to write a parameter, and some
// answers have headers.
func polish(doc *huma.OpenAPI) {
	paths := map[string]*huma.PathItem{}
	for path, item := range doc.Paths {
		paths[strings.ReplaceAll(path, "...}", "}")] = item
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Delete} {
			if op == nil {
				continue
			}
			for status, name := range map[int]string{http.StatusUnauthorized: "WWW-Authenticate",
				http.StatusServiceUnavailable: "Retry-After"} {
				if r := op.Responses[strconv.Itoa(status)]; r != nil {
					r.Headers = map[string]*huma.Param{name: {Schema: &huma.Schema{Type: huma.TypeString}}}
				}
			}
		}
	}
	doc.Paths = paths
}

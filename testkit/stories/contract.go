package stories

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"rollcall/testkit/nodetest"
)

// Contract is the OpenAPI document of a node. It holds answers, and the requests that they accept, against it.
type Contract struct {
	doc *openapi3.T
	ops []operation

	mu   sync.Mutex
	well map[string]bool // operations that have answered 2xx
}

type operation struct {
	id, method string
	path       *regexp.Regexp
	params     int
	spec       *openapi3.Operation
}

var parameter = regexp.MustCompile(`\\\{\w+\\\}`)

// ReadContract reads the document and validates it. header names the key.
func ReadContract(t testing.TB, addr string, header ...string) *Contract {
	t.Helper()
	status, text, head := nodetest.Request(context.Background(), http.MethodGet, addr, "/_api/openapi.json", "", header...)
	if status != http.StatusOK || head.Get("Content-Type") != "application/json" {
		t.Fatalf("GET openapi.json: %d %s %.200s", status, head.Get("Content-Type"), text)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatalf("the OpenAPI document: %v", err)
	}
	if err := doc.Validate(context.Background(), openapi3.EnableSchemaPatternValidation(),
		openapi3.EnableExamplesValidation()); err != nil {
		t.Fatalf("the OpenAPI document: %v", err)
	}
	if !doc.IsOpenAPI31OrLater() {
		t.Errorf("the document is of OpenAPI %s", doc.OpenAPI)
	}
	c := &Contract{doc: doc, well: map[string]bool{}}
	for path, item := range doc.Paths.Map() {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(path), `\{path\}`, ".+")
		pattern = parameter.ReplaceAllString(pattern, "[^/]+")
		for method, spec := range item.Operations() {
			c.ops = append(c.ops, operation{spec.OperationID, method, regexp.MustCompile("^" + pattern + "$"),
				strings.Count(path, "{"), spec})
		}
	}
	slices.SortFunc(c.ops, func(a, b operation) int { return a.params - b.params }) // "count" before {user_id}
	return c
}

// find gives the operation of a request; nil when there is none.
func (c *Contract) find(method, path string) *operation {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path, _, _ = strings.Cut(path, "?")
	for i, op := range c.ops {
		if op.method == method && op.path.MatchString(path) {
			return &c.ops[i]
		}
	}
	return nil
}

// Check says what of a request and its answer is not as the document has it; nil when all is.
func (c *Contract) Check(method, path, body string, sent http.Header, status int, answer string,
	head http.Header) error {
	if status >= 400 {
		if err := checkProblem(method, status, answer, head); err != nil {
			return err
		}
	}
	op := c.find(method, path)
	if op == nil {
		if status < 400 {
			return fmt.Errorf("the document has no such operation")
		}
		return nil
	}
	spec := op.spec.Responses.Value(strconv.Itoa(status))
	if spec == nil {
		return fmt.Errorf("%s answers %d, which the document does not have", op.id, status)
	}
	for name := range spec.Value.Headers {
		if head.Get(name) == "" && status >= 400 {
			return fmt.Errorf("%s answers %d without %s", op.id, status, name)
		}
	}
	if method != http.MethodHead {
		if err := checkContent(spec.Value.Content, head.Get("Content-Type"), answer); err != nil {
			return fmt.Errorf("%s answers %d: %w", op.id, status, err)
		}
	}
	if status >= 300 {
		return nil
	}
	if want := op.spec.RequestBody; want != nil {
		kind := sent.Get("Content-Type")
		if kind == "" && want.Value.Content["*/*"] == nil {
			kind = "application/json"
		}
		if err := checkContent(want.Value.Content, kind, body); err != nil {
			return fmt.Errorf("%s takes a body: %w", op.id, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.well[op.id] = true
	return nil
}

// missing are the operations that never answered well.
func (c *Contract) missing() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, op := range c.ops {
		if !c.well[op.id] {
			ids = append(ids, op.id)
		}
	}
	slices.Sort(ids)
	return ids
}

func checkContent(content openapi3.Content, contentType, text string) error {
	if len(content) == 0 {
		if text != "" {
			return fmt.Errorf("a body, where the document has none: %s", text)
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	media := content[kind]
	if media == nil {
		media = content["*/*"]
	}
	if media == nil {
		return fmt.Errorf("as %q (%v); the document has %v", contentType, err, slices.Sorted(maps.Keys(content)))
	}
	if kind != "application/json" && kind != "application/problem+json" {
		return nil
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return fmt.Errorf("%w in %.200s", err, text)
	}
	if err := media.Schema.Value.VisitJSON(v, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors()); err != nil {
		return fmt.Errorf("%w in %.300s", err, text)
	}
	return nil
}

// SPEC 2: "Errors are RFC 9457 problem documents."
func checkProblem(method string, status int, answer string, head http.Header) error {
	if kind := head.Get("Content-Type"); kind != "application/problem+json" {
		return fmt.Errorf("%d as %s: %.200s", status, kind, answer)
	}
	if head.Get("Cache-Control") != "no-store" {
		return fmt.Errorf("%d may be cached", status)
	}
	if method == http.MethodHead {
		return nil
	}
	var p struct {
		Status        int
		Title, Detail string
	}
	if err := json.Unmarshal([]byte(answer), &p); err != nil {
		return fmt.Errorf("%d: %w in %.200s", status, err, answer)
	}
	if p.Status != status || p.Title == "" || p.Detail == "" {
		return fmt.Errorf("%d: the problem document is %.200s", status, answer)
	}
	return nil
}

// Package api is the HTTP face for back ends and balancers: /_api/… , /healthz, /readyz and /metrics (SPEC 2).
//
// It starts no goroutine. It decides who may call (access.go), what a body may be (body.go) and in what shape answers
// and errors leave (problem.go). What they say comes from app, hub and cluster. Each operation is described once, for
// huma, which checks requests by it and makes the OpenAPI document of it.
package api

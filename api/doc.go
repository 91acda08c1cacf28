// Package api is the HTTP face for back ends and balancers: /_api/… , /healthz and /readyz (SPEC 2).
//
// It starts no goroutine. It decides who may call and in what shape answers leave; what they say comes from app, hub and
// cluster.
package api

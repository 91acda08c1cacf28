// Package tokentest makes tokens (JWT) for tests, good ones and bad ones of every kind, and serves key sets (JWKS). It
// is written against RFC 7515 to 7519 with the standard library alone, so that the nodes' own library is not tested by
// itself.
//
// Only tests import this package. A JWKS runs one HTTP server, which ends with the test.
package tokentest

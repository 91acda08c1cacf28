// Package auth answers who a request comes from: the client's address behind trusted proxies, and API keys. It runs no
// goroutine, keeps no state that changes, and never writes an answer.
package auth

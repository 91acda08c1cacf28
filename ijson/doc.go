// Package ijson reads JSON that all parties read alike: the I-JSON of RFC 7493. Tokens and bodies of the HTTP API come
// through it. It reads one value and makes nothing of it: callers see its tokens, and stop at what is too much.
//
// It runs no goroutines and keeps nothing.
package ijson

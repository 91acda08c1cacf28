// Package scaffold is the app that `rollcall new` makes: a handler, a script, a page, a test, and types for editors. It
// is embedded as it stands in files/, so that it can be checked, tested and looked at there.
//
// types/rollcall.lua describes all that handlers see, in the form of the Lua language server. The tests of cmd/node
// compare it with what a node has.
//
// The package starts no goroutines and knows nothing of nodes.
package scaffold

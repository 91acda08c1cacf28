//go:build race

package luavm

// raceFactor is how much slower the race detector may make Lua.
const raceFactor = 20

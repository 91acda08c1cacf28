//go:build !race

package luavm

const raceFactor = 1

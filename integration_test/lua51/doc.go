// Package lua51 compares luavm with PUC Lua 5.1 (Debian's lua5.1): it runs random
// programs in both and looks for any difference in what they say.
//
//	go test ./integration_test/lua51 -programs 1000000 -seed 7
package lua51

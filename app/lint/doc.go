// Package lint finds mistakes that the text of Lua files shows. They are names that nobody defines, members that
// library tables have not, and fields that a table of the host has not. They are also keys that the host does not know
// in a returned table. It knows nothing of the host: what there is, it is told (File).
//
// It reports only what is certain. A value counts as a table of the host when there is no way that it could be anything
// else. It is a parameter of a function that the host calls, or of one that only such functions call with it. Or it is
// a local that is never assigned again. Everything else is unknown, and nothing is said about it.
//
// Check goes over the trees once and notes reads, writes, calls and returns (walk.go). Then it works out what
// parameters are given and what returns are for, until nothing changes (infer.go), and last of all reports (report.go).
//
// It starts no goroutines, and runs nothing of what it reads.
package lint

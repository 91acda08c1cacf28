package lint

import "rollcall/luavm"

// Table is a table of the host of which the fields are known: one that a function is given, or one that it returns.
type Table struct {
	Name   string            // as findings call it: "event"
	Fields map[string]*Table // nil: a value of any kind
}

// File is one piece of Lua with what it can see.
type File struct {
	Name    string // as findings call it
	Source  string
	Library *luavm.Library
	Globals map[string]*Table // the host's, beside the library; nil: a value of any kind
	// Module: other files can require it, so that it and they see each other's globals.
	Module   bool
	Handlers []Handler // functions in it that the host calls
}

// Handler is a function that the host calls, found by its lines.
type Handler struct {
	Line, LastLine int
	Argument       *Table // the first; nil: not known
	Returns        *Table // what it returns is one of these, or an array of such; nil: anything
	// Library is what the host has it see, when that is less than the File's; nil: the same.
	Library *luavm.Library
}

// Rule says which kind of mistake a finding is.
type Rule string

// The rules.
const (
	RuleGlobal Rule = "global" // a name that nobody defines
	RuleMember Rule = "member" // a library table has no such member
	RuleField  Rule = "field"  // a table of the host has no such field
	RuleReturn Rule = "return" // a returned table may not have such a key
)

// Finding is one mistake.
type Finding struct {
	File    string
	Line    int
	Rule    Rule
	Name    string // that is wrong
	Nearest string // the right name that it resembles most; "": none does
	Text    string // all of it, without the place
}

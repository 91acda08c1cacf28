package lint

import "github.com/yuin/gopher-lua/ast"

// use says what happens to a value.
type use int

const (
	asValue   use = iota // it goes where it cannot be followed
	asObject             // one of its fields is looked at or set
	asCallee             // it is called
	asTest               // asked whether it is there
	asLook               // compared, counted, joined, …: nothing keeps it
	asAlias              // it is the value of a local
	asArg                // an argument of a call
	asResult             // the first value of a return
	asDiscard            // a call whose results are not used
)

// facts are what the tree of one file says.
type facts struct {
	file      *File
	chunk     *function
	functions map[*ast.FunctionExpr]*function
	locals    map[*ast.IdentExpr]*variable // what identifiers stand for; those not in it are globals
	globals   []globalRead
	members   []memberRead
	calls     []*call
	writes    []fieldWrite
	returns   []returned
	kept      []ast.Expr // what is used asValue, or as a result
	tested    []ast.Expr // what is asked whether it is there

	defines map[string][]*function // globals that are assigned, with the functions that they are; nil: another value
	escaped map[string]bool        // globals that are used in another way than being called
	dynamic bool                   // globals may be defined in ways that cannot be followed
	indexed bool                   // globals may be read in such ways
}

// variable is a local or a parameter.
type variable struct {
	name     string
	init     ast.Expr  // of local x = init; nil: none, or one of several values
	function *function // that it is; nil: none
	of       *function // whose parameter it is; nil: a local
	assigned bool      // again, later
	escapes  bool      // it is used in another way than being called
	untame   bool      // what is in the table that it holds cannot be followed
	value    shape     // of parameters, as far as it has been worked out
}

// function is one function, or a whole file.
type function struct {
	params  []*variable
	around  *function         // the one in which it is written; nil for a file
	expr    *ast.FunctionExpr // nil: the file
	host    *Handler          // nil: the host does not call it
	escapes bool              // somebody else may call it
	returns *Table            // as far as it has been worked out
	role    role
}

// role says what the value that a function returns is for.
type role int

const (
	noRole   role = iota // it has not been seen to be called
	hostRole             // the host takes it, as function.returns
	anyRole              // not known
)

// scope is what is visible at some place, the innermost first.
type scope struct {
	*variable
	outer *scope
}

// read is where something is read.
type read struct {
	line      int
	in        *function
	scope     *scope
	fallbacks []ast.Expr // it is only read when one of these is not there
}

type globalRead struct {
	read
	ident *ast.IdentExpr
}

// memberRead is object.key.
type memberRead struct {
	read
	object ast.Expr
	key    string
	whole  ast.Expr
}

// fieldWrite is object.key = value.
type fieldWrite struct {
	object, key, value ast.Expr // value nil: one of several
}

// call is one call.
type call struct {
	expr *ast.FuncCallExpr
	in   *function
	use  use
}

// returned is the first value of a return.
type returned struct {
	in    *function
	value ast.Expr
}

// constant is the text of a key that is written out.
func constant(e ast.Expr) (string, bool) {
	if s, ok := e.(*ast.StringExpr); ok {
		return s.Value, true
	}
	return "", false
}

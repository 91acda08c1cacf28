package lint

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"

	"rollcall/luavm"
)

// Check finds mistakes in the files of one app. Files that do not compile are left out: luavm.Compile says why. The
// findings are in the order of the files and lines.
func Check(files []File) []Finding {
	c := &checker{libraries: map[*luavm.Library]map[string]lua.LValue{}, tables: map[*lua.LTable]map[string]lua.LValue{},
		written: map[*Table]map[string]bool{}, loose: map[string]bool{}, open: map[*Table]bool{}, lost: map[*Table]bool{}}
	for i := range files {
		if f, ok := factsOf(&files[i]); ok {
			c.files = append(c.files, f)
		}
	}
	c.infer()
	for _, f := range c.files {
		first := len(c.found)
		c.report(f)
		slices.SortStableFunc(c.found[first:], func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	}
	return slices.Compact(c.found)
}

func (c *checker) report(f *facts) {
	asked := c.asked(f)
	if !slices.ContainsFunc(c.files, func(o *facts) bool { return o.dynamic && visible(o, f) }) {
		for _, r := range f.globals {
			c.reportGlobal(f, r, asked)
		}
	}
	for _, r := range f.members {
		c.reportMember(f, r, asked)
	}
	for _, r := range f.returns {
		if r.in.role == hostRole {
			c.reportReturn(f, r.value, r.in.returns)
		}
	}
}

func (c *checker) add(f *facts, line int, rule Rule, name, nearest, format string, args ...any) {
	c.found = append(c.found, Finding{f.file.Name, line, rule, name, nearest, fmt.Sprintf(format, args...)})
}

// asked are the names that a file asks for before it uses them: names of other versions, or of other kinds of Lua.
func (c *checker) asked(f *facts) map[string]bool {
	names := map[string]bool{}
	for _, e := range f.tested {
		switch e := e.(type) {
		case *ast.IdentExpr:
			if f.locals[e] == nil {
				names[e.Value] = true
			}
		case *ast.AttrGetExpr:
			if object, key := c.shape(f, e.Object), ""; object.kind == libraryValue {
				key, _ = constant(e.Key)
				names[object.path+"."+key] = true
			}
		}
	}
	return names
}

// answered tells that one of the expressions before an "or" is always there.
func (c *checker) answered(f *facts, r read) bool {
	return slices.ContainsFunc(r.fallbacks, func(e ast.Expr) bool {
		s := c.shape(f, e)
		return s.kind == libraryValue && s.value != lua.LNil
	})
}

// meant says which name was meant, or which there are.
func meant(nearest string, names []string) string {
	if nearest != "" {
		return fmt.Sprintf("did you mean %q?", nearest)
	}
	return "there are " + strings.Join(names, ", ")
}

func (c *checker) reportGlobal(f *facts, r globalRead, asked map[string]bool) {
	name := r.ident.Value
	if _, ok := f.file.Globals[name]; ok || name == "_G" || c.defined(f, name) {
		return
	}
	library := c.library(f.file.Library)
	if _, ok := library[name]; ok || c.answered(f, r.read) {
		return
	}
	names := slices.Concat(slices.Collect(maps.Keys(library)), slices.Collect(maps.Keys(f.file.Globals)))
	for s := r.scope; s != nil; s = s.outer {
		names = append(names, s.name)
	}
	for _, o := range c.files {
		if visible(o, f) {
			names = append(names, slices.Collect(maps.Keys(o.defines))...)
		}
	}
	switch nearest := Nearest(name, names); {
	case nearest != "":
		c.add(f, r.line, RuleGlobal, name, nearest, "nobody defines %q: did you mean %q?", name, nearest)
	case !asked[name]:
		c.add(f, r.line, RuleGlobal, name, "", "nobody defines %q", name)
	}
}

func (c *checker) reportMember(f *facts, r memberRead, asked map[string]bool) {
	switch object := c.shape(f, r.object); object.kind {
	case libraryValue:
		t, ok := object.value.(*lua.LTable)
		if !ok || c.members(t) == nil || c.answered(f, r.read) {
			return
		}
		members := c.members(t)
		if _, ok := members[r.key]; ok {
			c.reportKind(f, r, object.path, asked)
			return
		}
		names, nearest := slices.Sorted(maps.Keys(members)), ""
		if near := Nearest(r.key, names); near != "" {
			nearest = object.path + "." + near
		} else if asked[object.path+"."+r.key] {
			return
		}
		name := object.path + "." + r.key
		c.add(f, r.line, RuleMember, name, nearest, "there is no %s: %s", name, meant(nearest, names))
	case hostTable:
		t := object.table
		if _, ok := t.Fields[r.key]; ok || c.open[t] || c.written[t][r.key] || c.lost[t] && c.loose[r.key] {
			return
		}
		names := slices.Sorted(maps.Keys(t.Fields))
		nearest := Nearest(r.key, names)
		c.add(f, r.line, RuleField, r.key, nearest, "%s has no field %q: %s", t.Name, r.key, meant(nearest, names))
	}
}

// reportKind looks at a member that is there, but maybe not for the handler that uses it.
func (c *checker) reportKind(f *facts, r memberRead, path string, asked map[string]bool) {
	host := r.in
	for host != nil && host.host == nil {
		host = host.around
	}
	if host == nil || host.host.Library == nil || asked[path+"."+r.key] {
		return
	}
	if l := host.host.Library; c.has(l, path) && !c.has(l, path+"."+r.key) {
		c.add(f, r.line, RuleMember, path+"."+r.key, "", "there is no %s.%s in handlers of this kind", path, r.key)
	}
}

// has tells whether a library has something.
func (c *checker) has(l *luavm.Library, path string) bool {
	members := c.library(l)
	for name := range strings.SplitSeq(path, ".") {
		v, ok := members[name]
		if !ok {
			return false
		}
		members = nil
		if t, ok := v.(*lua.LTable); ok {
			members = c.members(t)
		}
	}
	return true
}

// reportReturn looks at a value that the host takes as one of its tables, or an array of such.
func (c *checker) reportReturn(f *facts, e ast.Expr, t *Table) {
	switch e := e.(type) {
	case *ast.TableExpr:
		c.reportKeys(f, e, t)
	case *ast.LogicalOpExpr:
		if e.Operator == "or" {
			c.reportReturn(f, e.Lhs, t)
		}
		c.reportReturn(f, e.Rhs, t)
	case *ast.IdentExpr:
		v := f.locals[e]
		if v == nil || v.assigned || v.untame || v.of != nil {
			return
		}
		init, ok := v.init.(*ast.TableExpr)
		if !ok {
			return
		}
		sets, cleared := c.setsOf(f, v)
		if len(cleared) == 0 {
			c.reportKeys(f, init, t)
		}
		for _, w := range sets {
			switch key, ok := "", false; {
			case w.key != nil:
				if key, ok = constant(w.key); ok && !cleared[key] {
					c.reportKey(f, w.key, key, t)
				}
			}
			if element, ok := w.value.(*ast.TableExpr); ok && c.isElement(w) {
				c.reportKeys(f, element, t)
			}
		}
	}
}

// isElement tells of a value that becomes an element of an array: t[#t + 1] = value, or table.insert(t, value).
func (c *checker) isElement(w fieldWrite) bool {
	if w.key == nil {
		return true
	}
	switch key := w.key.(type) {
	case *ast.NumberExpr:
		return true
	case *ast.ArithmeticOpExpr:
		_, ok := key.Lhs.(*ast.UnaryLenOpExpr)
		return ok
	}
	return false
}

// setsOf are the assignments to fields of the table that a local holds, and the fields that some of them take away.
func (c *checker) setsOf(f *facts, v *variable) (sets []fieldWrite, cleared map[string]bool) {
	cleared = map[string]bool{}
	for _, w := range f.writes {
		ident, ok := w.object.(*ast.IdentExpr)
		if !ok || f.locals[ident] != v {
			continue
		}
		sets = append(sets, w)
		if _, isNil := w.value.(*ast.NilExpr); (isNil || w.value == nil) && w.key != nil {
			key, _ := constant(w.key)
			cleared[key] = true
		}
	}
	return sets, cleared
}

// reportKeys looks at the keys of a table that is written out, and at those of its elements.
func (c *checker) reportKeys(f *facts, e *ast.TableExpr, t *Table) {
	for _, field := range e.Fields {
		if field.Key == nil {
			if element, ok := field.Value.(*ast.TableExpr); ok {
				c.reportKeys(f, element, t)
			}
			continue
		}
		if key, ok := constant(field.Key); ok {
			if _, isNil := field.Value.(*ast.NilExpr); !isNil {
				c.reportKey(f, field.Key, key, t)
			}
		}
	}
}

func (c *checker) reportKey(f *facts, at ast.Expr, key string, t *Table) {
	if _, ok := t.Fields[key]; ok {
		return
	}
	names := slices.Sorted(maps.Keys(t.Fields))
	nearest := Nearest(key, names)
	c.add(f, at.Line(), RuleReturn, key, nearest, "unknown %s %q: %s", t.Name, key, meant(nearest, names))
}

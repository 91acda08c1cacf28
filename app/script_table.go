package app

import (
	"slices"
	"strings"

	"rollcall/luavm"
)

// scriptTable finds the script for a path: registered ones, and files that none of them hides. It does not change.
type scriptTable struct {
	in    *instance
	set   *scriptSet
	trees map[string]*tree[script] // by method
}

// scriptTable is the one of now, made when the app or the registered scripts have changed.
func (s *Server) scriptTable(in *instance) *scriptTable {
	var set *scriptSet
	if s.cfg.Scripts != nil {
		set = s.cfg.Scripts.now.Load()
	}
	if t := s.table.Load(); t != nil && t.in == in && t.set == set {
		return t
	}
	t := newScriptTable(in, set)
	s.table.Store(t)
	return t
}

// newScriptTable adds registered scripts first: a file that would match the same paths is hidden (SPEC 6).
func newScriptTable(in *instance, set *scriptSet) *scriptTable {
	t := &scriptTable{in: in, set: set, trees: map[string]*tree[script]{}}
	if set != nil {
		for _, sc := range set.scripts {
			t.add(sc)
		}
	}
	for _, sc := range in.app.scripts {
		t.add(sc)
	}
	return t
}

func (t *scriptTable) add(sc *script) {
	if t.trees[sc.name.Method] == nil {
		t.trees[sc.name.Method] = &tree[script]{}
	}
	t.trees[sc.name.Method].add(sc.pattern, sc)
}

func (t *scriptTable) find(method string, path []string) *script {
	if tr := t.trees[method]; tr != nil {
		return tr.find(path)
	}
	return nil
}

// compile makes the set for these records; scripts that did not change keep their program.
func (s *Scripts) compile(old *scriptSet, next records) *scriptSet {
	set := &scriptSet{records: next}
	had := map[*record]*script{}
	for _, sc := range old.scripts {
		had[old.records[sc.name.field()]] = sc
	}
	for _, r := range next {
		if r.deleted {
			continue
		}
		sc := had[r]
		if prev := old.records[r.Name().field()]; sc == nil && prev != nil && prev.raw == r.raw {
			sc = had[prev]
		}
		if sc == nil {
			sc = compileScript(r.Name(), "", r.Version, r.Code)
			if sc.err != nil {
				s.cfg.Log.Error("registered script does not compile on this node", "script", r.Name().String(), "version",
					r.Version, "error", sc.err)
			}
		}
		set.scripts = append(set.scripts, sc)
	}
	slices.SortFunc(set.scripts, func(a, b *script) int { return strings.Compare(a.name.field(), b.name.field()) })
	return set
}

// compileScript makes a script that can run. n is a checked name.
func compileScript(n ScriptName, file string, version int64, code string) *script {
	chunk := file
	if chunk == "" {
		chunk = n.chunk()
	}
	sc := &script{name: n, file: file, version: version, source: code}
	if sc.pattern, sc.err = parsePattern(n.URLPath()); sc.err != nil {
		return sc
	}
	sc.program, sc.err = luavm.Compile(chunk, code)
	sc.used = requestUsed(code)
	return sc
}

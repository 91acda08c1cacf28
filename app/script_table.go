package app

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

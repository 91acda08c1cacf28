package presence

import (
	"iter"
	"maps"
	"slices"
)

// keyed is a value that knows its key.
type keyed[K comparable] interface {
	comparable
	key() K
}

// few is a set of values by key: one by itself, a slice of a few, or a map. For a map costs some 300 bytes, and most
// channels have one user or two. The zero value is empty.
//
// Invariant: a slice has two values at least. It is never changed, so all may be ended by put and drop.
type few[K comparable, V keyed[K]] struct{ values any } // nil, V, []V or map[K]V

// atMostFew is how many values the slice holds.
const atMostFew = 8

func (f *few[K, V]) len() int {
	if index, ok := f.values.(map[K]V); ok {
		return len(index)
	}
	return len(f.list())
}

// list gives the values while there is no map. It is not to be changed.
func (f *few[K, V]) list() []V {
	if v, ok := f.values.(V); ok {
		return []V{v}
	}
	list, _ := f.values.([]V)
	return list
}

// setList is right for as many values as a slice holds.
func (f *few[K, V]) setList(list []V) {
	switch len(list) {
	case 0:
		f.values = nil
	case 1:
		f.values = list[0]
	default:
		f.values = list
	}
}

func find[K comparable, V keyed[K]](list []V, k K) int {
	return slices.IndexFunc(list, func(v V) bool { return v.key() == k })
}

// get gives the value of a key, or the zero value.
func (f *few[K, V]) get(k K) (v V) {
	if index, ok := f.values.(map[K]V); ok {
		return index[k]
	}
	list := f.list()
	if i := find(list, k); i >= 0 {
		return list[i]
	}
	return v
}

// put sets the value of its key.
func (f *few[K, V]) put(v V) {
	if index, ok := f.values.(map[K]V); ok {
		index[v.key()] = v
		return
	}
	list := f.list()
	i := find(list, v.key())
	switch {
	case i >= 0:
		list = slices.Clone(list)
		list[i] = v
		f.setList(list)
	case len(list) < atMostFew:
		f.setList(append(list[:len(list):len(list)], v))
	default:
		index := make(map[K]V, 2*atMostFew)
		for _, old := range list {
			index[old.key()] = old
		}
		index[v.key()] = v
		f.values = index
	}
}

// drop takes the value of a key out.
func (f *few[K, V]) drop(k K) {
	if index, ok := f.values.(map[K]V); ok {
		if delete(index, k); len(index) == 0 {
			f.values = nil
		}
		return
	}
	list := f.list()
	if i := find(list, k); i >= 0 {
		f.setList(slices.Concat(list[:i], list[i+1:]))
	}
}

// all goes through the values, in no order. Meanwhile they may be changed.
func (f *few[K, V]) all() iter.Seq[V] {
	if index, ok := f.values.(map[K]V); ok {
		return maps.Values(index)
	}
	return slices.Values(f.list())
}

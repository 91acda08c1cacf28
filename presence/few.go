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

// few is a set of values by key: a slice while they are few, for a map costs some 300 bytes and most channels have one
// user or two; then a map. The zero value is empty.
//
// Invariant: list and index are not both in use. What list points to is never changed, so all may be ended by put and
// drop.
type few[K comparable, V keyed[K]] struct {
	list  []V
	index map[K]V
}

// atMostFew is how many values the slice holds.
const atMostFew = 8

func (f *few[K, V]) len() int { return len(f.list) + len(f.index) }

func (f *few[K, V]) at(k K) int {
	return slices.IndexFunc(f.list, func(v V) bool { return v.key() == k })
}

// get gives the value of a key, or the zero value.
func (f *few[K, V]) get(k K) (v V) {
	if f.index != nil {
		return f.index[k]
	}
	if i := f.at(k); i >= 0 {
		return f.list[i]
	}
	return v
}

// put sets the value of its key.
func (f *few[K, V]) put(v V) {
	if f.index != nil {
		f.index[v.key()] = v
		return
	}
	i := f.at(v.key())
	switch {
	case i >= 0:
		f.list = slices.Clone(f.list)
		f.list[i] = v
	case len(f.list) < atMostFew:
		f.list = append(f.list[:len(f.list):len(f.list)], v)
	default:
		f.index = make(map[K]V, 2*atMostFew)
		for _, old := range f.list {
			f.index[old.key()] = old
		}
		f.index[v.key()] = v
		f.list = nil
	}
}

// drop takes the value of a key out.
func (f *few[K, V]) drop(k K) {
	if f.index != nil {
		if delete(f.index, k); len(f.index) == 0 {
			f.index = nil
		}
		return
	}
	switch i := f.at(k); {
	case i < 0:
	case len(f.list) == 1:
		f.list = nil
	default:
		f.list = slices.Concat(f.list[:i], f.list[i+1:])
	}
}

// all goes through the values, in no order. Meanwhile they may be changed.
func (f *few[K, V]) all() iter.Seq[V] {
	if f.index != nil {
		return maps.Values(f.index)
	}
	return slices.Values(f.list)
}

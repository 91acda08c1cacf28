package lint

import (
	"slices"
	"strings"
)

// Nearest is the one of names that somebody who wrote name most likely meant; "" when none is near enough. Of those
// that are equally near it is the one that begins alike for longest.
func Nearest(name string, names []string) (nearest string) {
	least := max(1, (len(name)+1)/4) + 1
	for _, n := range slices.Sorted(slices.Values(names)) {
		if n == name {
			continue
		}
		d := distance(strings.ToLower(name), strings.ToLower(n))
		closer := d < least || d == least && nearest != "" && alike(name, n) > alike(name, nearest)
		if closer && d < max(len(name), len(n)) {
			nearest, least = n, d
		}
	}
	return nearest
}

// alike counts the letters with which both begin.
func alike(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// distance counts the letters that have to be put in, taken out, changed, or swapped with the next one, to make b of a.
func distance(a, b string) int {
	before, last, row := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, make([]int, len(b)+1)
	}
	return last[len(b)]
}

package load

import (
	"math"
	"time"
)

// latencies counts times in buckets of 4 % width, from 1 µs to beyond a minute.
type latencies struct {
	buckets [480]int64
	n       int64
	max     time.Duration
}

const bucketWidth = 1.04

var perBucket = math.Log(bucketWidth)

func (l *latencies) add(d time.Duration) {
	l.n++
	l.max = max(l.max, d)
	i := 0
	if d > time.Microsecond {
		i = int(math.Log(float64(d)/float64(time.Microsecond)) / perBucket)
	}
	l.buckets[min(i, len(l.buckets)-1)]++
}

// at is the time that the share q of all did not pass.
func (l *latencies) at(q float64) time.Duration {
	want := int64(math.Ceil(q * float64(l.n)))
	for i, n := range l.buckets {
		if want -= n; want <= 0 && l.n > 0 {
			return min(l.max, time.Duration(float64(time.Microsecond)*math.Exp(perBucket*float64(i+1))))
		}
	}
	return l.max
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

package app

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Alarms ring once each, at their time, the nearest first.
func TestAlarmsDue(t *testing.T) {
	s := &alarms{wake: make(chan struct{}, 1)}
	now := time.Now()
	var order []int
	all := make([]alarm, 5)
	for i, after := range []time.Duration{3, 1, 2, 1, 5} {
		all[i].ring = func() { order = append(order, i) }
		s.set(&all[i], now.Add(after*time.Second))
	}
	s.drop(&all[3])
	s.drop(&all[3])
	s.set(&all[4], time.Time{}) // never
	s.set(&all[2], now.Add(4*time.Second))
	for seconds := range 6 {
		at := now.Add(time.Duration(seconds) * time.Second)
		due, wait := s.due(at)
		for _, ring := range due {
			ring()
		}
		want := lookAgain
		if len(s.heap) > 0 {
			want = s.heap[0].at.Sub(at)
		}
		if wait != want {
			t.Errorf("after %d s it waits %v, not %v", seconds, wait, want)
		}
	}
	if fmt.Sprint(order) != "[1 0 2]" {
		t.Errorf("they rang in the order %v", order)
	}
	s.drop(&all[1]) // rang already
	s.drop(nil)
	s.set(&all[0], now)
	if due, _ := s.due(now); len(due) != 1 {
		t.Error("an alarm cannot be set again after it rang")
	}
}

// However alarms are set and dropped, each one that is due rings, and none else.
func TestAlarmsAtRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s := &alarms{wake: make(chan struct{}, 1)}
	now := time.Now()
	all := make([]alarm, 20)
	rang := make([]int, len(all))
	for i := range all {
		all[i].ring = func() { rang[i]++ }
	}
	wanted := make([]time.Time, len(all))
	for range 20_000 {
		i := r.IntN(len(all))
		switch r.IntN(4) {
		case 0:
			s.drop(&all[i])
			wanted[i] = time.Time{}
		case 1:
			now = now.Add(time.Duration(r.IntN(50)))
			clear(rang)
			due, _ := s.due(now)
			for _, ring := range due {
				ring()
			}
			for j, at := range wanted {
				is := 0
				if !at.IsZero() && !now.Before(at) {
					is, wanted[j] = 1, time.Time{}
				}
				if rang[j] != is {
					t.Fatalf("alarm %d rang %d times, want %d", j, rang[j], is)
				}
			}
		default:
			wanted[i] = now.Add(time.Duration(r.IntN(200)))
			s.set(&all[i], wanted[i])
		}
		for i, a := range s.heap {
			if a.index != i+1 {
				t.Fatalf("the alarm at index %d has %d", i+1, a.index)
			}
		}
	}
}

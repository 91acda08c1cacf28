package metrics

import (
	"reflect"
	"testing"
	"time"
)

// oneFieldSet gives, for each field of Rooms, Rooms in which only that one is set.
func oneFieldSet() map[string]Rooms {
	all := map[string]Rooms{}
	shape := reflect.TypeFor[Rooms]()
	for i := range shape.NumField() {
		var r Rooms
		field := reflect.ValueOf(&r).Elem().Field(i)
		switch field.Interface().(type) {
		case time.Duration:
			field.SetInt(int64(3 * time.Second))
		case map[string]int64, string:
			continue // told by TestSnapshots
		case uint64:
			field.SetUint(3)
		default:
			field.SetInt(3)
		}
		all[shape.Field(i).Name] = r
	}
	return all
}

// values are the metrics of the rooms.
func values(t *testing.T, m *Metrics, r Rooms) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, row := range m.state.rows {
		out[row.desc.String()] = row.value(&r)
	}
	return out
}

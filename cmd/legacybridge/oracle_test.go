package main_test

import (
	"encoding/json"
	"strconv"
	"testing"
)

// A verdict is what the broker got, held against what was promised.
type verdict struct {
	lost, invented, disordered, duplicates int
}

// judge holds the messages of one device, whose payloads count up in member n from 1, against the promised rows 1…want.
// The first deliveries must rise; a repeat is recognisable by its id and equal byte for byte.
func judge(t *testing.T, got []message, want int) verdict {
	t.Helper()
	var v verdict
	seen := make(map[int]string, want)
	last := 0
	for _, m := range got {
		var p struct {
			D  struct{ N json.Number }
			ID string
		}
		if err := json.Unmarshal([]byte(m.payload), &p); err != nil {
			t.Fatalf("payload %q: %v", m.payload, err)
		}
		n, err := strconv.Atoi(p.D.N.String())
		if err != nil || n < 1 || n > want {
			v.invented++
			continue
		}
		if first, again := seen[n]; again {
			v.duplicates++
			if first != m.payload {
				t.Errorf("row %d was sent again as %s, first as %s", n, m.payload, first)
			}
			continue
		}
		seen[n] = m.payload
		if n < last {
			v.disordered++
		}
		last = n
	}
	v.lost = want - len(seen)
	return v
}

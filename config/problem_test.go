package config

import "testing"

func TestNearestName(t *testing.T) {
	for _, c := range []struct {
		name  string
		known []string
		want  string
	}{
		{"bus1", []string{"bus-1", "plc"}, "bus-1"},
		{"ta", []string{"at", "bit"}, "at"}, // two letters swapped are one slip
		{"bus-3", []string{"bus-1", "bus-2"}, ""},
		{"bus-3", []string{"bus-1", "bus-33"}, ""},
		{"x", []string{"yz"}, ""},
		{"온도2", []string{"온도1"}, "온도1"},
		{"", nil, ""},
	} {
		if got := near(c.name, c.known); got != c.want {
			t.Errorf("%q among %q: got %q, want %q", c.name, c.known, got, c.want)
		}
	}
}

package modbus

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestNeighbouringPointsShareARequest(t *testing.T) {
	f32 := func(address uint16) Point { return Point{Table: Input, Address: address, Type: "f32"} }
	for _, c := range []struct {
		name            string
		points          []Point
		maxGap, maxRead int
		want            []string
	}{
		{"adjacent", []Point{f32(2), f32(0)}, 0, 120, []string{"input registers 0 to 3 [1 0]"}},
		{"a gap that is small enough", []Point{f32(0), f32(10)}, 8, 120, []string{"input registers 0 to 11 [0 1]"}},
		{"a gap that is one too wide", []Point{f32(0), f32(11)}, 8, 120, []string{"input registers 0 to 1 [0]", "input registers 11 to 12 [1]"}},
		{"a meter", []Point{f32(0), f32(2), f32(4), f32(6), f32(12), f32(70), f32(72)}, 8, 120,
			[]string{"input registers 0 to 13 [0 1 2 3 4]", "input registers 70 to 73 [5 6]"}},
		{"max_read never splits a point", []Point{f32(0), f32(2), f32(4)}, 8, 5, []string{"input registers 0 to 3 [0 1]", "input registers 4 to 5 [2]"}},
		{"a point in another", []Point{{Table: Holding, Address: 10, Type: "u64"}, {Table: Holding, Address: 11}}, 0, 4,
			[]string{"holding registers 10 to 13 [0 1]"}},
		{"overlap beyond max_read", []Point{{Table: Holding, Address: 10, Type: "u64"}, {Table: Holding, Address: 13, Type: "u32"}}, 8, 4,
			[]string{"holding registers 10 to 13 [0]", "holding registers 13 to 14 [1]"}},
		{"the same twice", []Point{{Table: Holding, Address: 5}, {Table: Holding, Address: 5, Type: "i16"}}, 0, 120, []string{"holding register 5 [0 1]"}},
		{"tables apart", []Point{{Table: Discrete, Address: 0}, {Table: Coil, Address: 0}, {Table: Input, Address: 0}, {Table: Holding, Address: 0}}, 8, 120,
			[]string{"holding register 0 [3]", "input register 0 [2]", "coil 0 [1]", "discrete input 0 [0]"}},
		{"bits beyond max_read", []Point{{Table: Coil, Address: 0}, {Table: Coil, Address: 8}, {Table: Coil, Address: 200}}, 8, 4,
			[]string{"coils 0 to 8 [0 1]", "coil 200 [2]"}},
		{"a text of odd length", []Point{{Table: Holding, Address: 40, Type: "text", Length: 15}}, 0, 120, []string{"holding registers 40 to 47 [0]"}},
		{"the end of the table", []Point{{Table: Holding, Address: 65534, Type: "f32"}}, 0, 120, []string{"holding registers 65534 to 65535 [0]"}},
	} {
		requests, err := plan(c.points, c.maxGap, c.maxRead)
		var got []string
		for _, r := range requests {
			got = append(got, fmt.Sprint(&r, " ", r.points))
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestBitsShareUpTo2000(t *testing.T) {
	var points []Point
	for i := range 2001 {
		points = append(points, Point{Table: Discrete, Address: uint16(i)})
	}
	requests, err := plan(points, 8, 120)
	if err != nil || len(requests) != 2 || requests[0].count != 2000 || requests[1].count != 1 {
		t.Errorf("got %v, %v, want 2000 and 1", requests, err)
	}
}

func TestPointsThatCannotBeReadAreRefused(t *testing.T) {
	for _, c := range []struct {
		p    Point
		want string
	}{
		{Point{Name: "p", Table: Holding, Type: "f64"}, "4 registers do not fit into one request of at most 3"},
		{Point{Name: "p", Table: Holding, Address: 65535, Type: "u32"}, "beyond 65535"},
		{Point{Name: "p", Table: Holding, Type: "u8"}, "not a type"},
		{Point{Name: "p", Table: Holding, Type: "text"}, "needs a length"},
		{Point{Name: "p", Table: Holding, Type: "text", Length: 251}, "needs a length"},
		{Point{Name: "p", Table: 4}, "no such table"},
	} {
		if _, err := plan([]Point{c.p}, 8, 3); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "point p: ") {
			t.Errorf("%+v: got %v, want %q", c.p, err, c.want)
		}
	}
}

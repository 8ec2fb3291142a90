package mapping_test

import (
	"strconv"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/mapping"
)

// kiln is a CSV device: 4 columns, one event of two decimals, a text and a whole number.
func kiln() mapping.Config {
	return mapping.Config{Devices: []mapping.Device{{
		Name: "kiln-2", Type: "kiln", ID: "KILN-{row.Nr}", IDs: hundredIDs(),
		Points: []mapping.Point{
			{Name: "zone_1", Unit: "°C", Decimals: -1, Bit: -1, Absent: []string{"", "---"}},
			{Name: "zone_2", Unit: "°C", Decimals: -1, Bit: -1},
			{Name: "program", Kind: mapping.Text, Decimals: -1, Bit: -1},
			{Name: "cycle", Kind: mapping.Int, Decimals: -1, Bit: -1},
		},
		Events: []mapping.EventRule{{Name: "temperature", Points: []string{"zone_1", "zone_2", "program", "cycle"}, RowTime: true, Format: "json", QoS: 1, WithID: true}},
	}}}
}

func hundredIDs() []string {
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = "KILN-" + strconv.Itoa(i)
	}
	return ids
}

func kilnReadings(n int) []adapters.Reading {
	names := []string{"zone_1", "zone_2", "program", "cycle", "row.Nr"}
	start := time.Date(2026, 5, 11, 8, 0, 0, 0, time.UTC)
	readings := make([]adapters.Reading, n)
	for i := range readings {
		readings[i] = adapters.Reading{
			Device: "kiln-2", Time: start.Add(time.Duration(i) * 10 * time.Second), Origin: "kiln.csv:" + strconv.Itoa(i), Names: names,
			Values: []string{"1043.5", "1038.25", "glaze", strconv.Itoa(i), strconv.Itoa(i % 100)},
			Raw:    []byte("a row"),
		}
	}
	return readings
}

func BenchmarkMapCSV(b *testing.B) {
	m, err := mapping.New(kiln())
	if err != nil {
		b.Fatal(err)
	}
	const batch = 1000
	readings := kilnReadings(batch)
	now := time.Date(2026, 5, 11, 12, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		if out := m.Map(now, readings); len(out.Events) != batch {
			b.Fatalf("got %d events, want %d", len(out.Events), batch)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/event")
}

// BenchmarkMapEverything has all kinds of points, conversion, windows and conditions.
func BenchmarkMapEverything(b *testing.B) {
	m, err := mapping.New(everything())
	if err != nil {
		b.Fatal(err)
	}
	r := adapters.Reading{
		Device: "dev", Names: []string{"num", "big", "whole", "flag", "word", "faults", "state", "row.unit", "row.n"},
		Values: []string{"2120", "1.043,5", "42", "true", "run", "1", "16", "°F", "1"}, Time: time.Date(2026, 5, 11, 12, 0, 0, 0, time.UTC),
	}
	now := r.Time
	b.ReportAllocs()
	for b.Loop() {
		r.Time = r.Time.Add(time.Second)
		if out := m.Map(now, []adapters.Reading{r}); len(out.Dead) > 0 {
			b.Fatalf("got the dead letter %+v", out.Dead)
		}
	}
}

package mapping_test

import (
	"fmt"
	"time"

	"legacybridge/adapters"
	"legacybridge/mapping"
)

func ExampleMapper_Map() {
	m, err := mapping.New(mapping.Config{Devices: []mapping.Device{{
		Name: "kiln-2", Type: "kiln", ID: "KILN-2",
		Points: []mapping.Point{
			{Name: "zone_1", Unit: "°C", Decimal: ',', Absent: []string{"---"}, Decimals: -1, Bit: -1},
			{Name: "zone_2", Unit: "°C", Decimal: ',', Absent: []string{"---"}, Decimals: -1, Bit: -1},
		},
		Computed: []mapping.Computed{{Name: "spread", Is: "abs(zone_1 - zone_2)", Decimals: 1}},
		Events:   []mapping.EventRule{{Name: "temperature", Points: []string{"zone_1", "zone_2", "spread"}, RowTime: true, Format: "json"}},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	names := []string{"zone_1", "zone_2"}
	row := time.Date(2026, 3, 1, 8, 0, 10, 0, time.FixedZone("KST", 9*60*60))
	out := m.Map(time.Now(), []adapters.Reading{
		{Device: "kiln-2", Time: row, Origin: "kiln.csv:2", Names: names, Values: []string{"1043,50", "1038,2"}},
		{Device: "kiln-2", Time: row.Add(time.Minute), Origin: "kiln.csv:3", Names: names, Values: []string{"1.043,5", "---"}},
		{Device: "kiln-2", Time: row.Add(2 * time.Minute), Origin: "kiln.csv:4", Names: names, Values: []string{"1043,5", "---"}},
	})
	for _, e := range out.Events {
		fmt.Printf("%s/%s %s %s\n", e.Type, e.ID, e.Name, e.Payload)
	}
	for _, d := range out.Dead {
		fmt.Printf("%s %s: %s\n", d.Code, d.Origin, d.Why)
	}
	// Output:
	// kiln/KILN-2 temperature {"d":{"zone_1":1043.50,"zone_2":1038.2,"spread":5.3},"ts":"2026-02-28T23:00:10.000Z"}
	// kiln/KILN-2 temperature {"d":{"zone_1":1043.5},"ts":"2026-02-28T23:02:10.000Z"}
	// MAP011 kiln.csv:3: zone_1 is "1.043,5", not a number
}

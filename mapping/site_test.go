package mapping_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/mapping"
)

// TestARealSite holds the devices of a plant: two scales, a meter, a press, a kiln, a laboratory, a wind sensor, a gas detector.
func TestARealSite(t *testing.T) {
	number := func(s string) json.Number { return json.Number(s) }
	bit := func(n int) func(*mapping.Point) { return func(p *mapping.Point) { p.Bit = n } }
	decimalComma := func(p *mapping.Point) {
		p.Decimal, p.Unit, p.Absent = ',', "°C", []string{"", "---", "-999"}
	}

	scale := device([]mapping.Point{
		point("weight", func(p *mapping.Point) { p.UnitFrom, p.Unit, p.Min, p.Max = "from.unit", "kg", "-1", "35" }),
		point("stable", func(p *mapping.Point) {
			p.Kind, p.Enum = mapping.Text, []mapping.EnumValue{{Raw: "", Value: true}, {Raw: "?", Value: false}}
		}),
	}, event("weighed", "weight"))
	scale.Events[0].When = "stable"

	truck := device([]mapping.Point{
		point("digits", func(p *mapping.Point) { p.Kind = mapping.Int }), point("tare_d", func(p *mapping.Point) { p.Kind = mapping.Int }),
		point("dp", func(p *mapping.Point) {
			p.Mask = 7
			for i, factor := range []string{"100", "10", "1", "0.1", "0.01", "0.001", "0.0001", "0.00001"} {
				p.Enum = append(p.Enum, mapping.EnumValue{Raw: string(rune('0' + i)), Value: number(factor)})
			}
		}),
		point("net", bit(0)), point("minus", bit(1)), point("over", bit(2)), point("motion", bit(3)),
	}, event("weight", "weight", "tare", "net", "over"))
	truck.Computed = []mapping.Computed{
		{Name: "weight", Is: "digits * dp * (minus ? -1 : 1)", Unit: "kg", Decimals: 0}, {Name: "tare", Is: "tare_d * dp", Unit: "kg", Decimals: 0},
	}
	truck.Events[0].When = "!motion && !over"
	truck.Events[0].OnChange = []mapping.Change{{Point: "weight", By: "20"}}
	truck.Events[0].AtLeast = 5 * time.Minute

	press := device([]mapping.Point{
		point("oil_temp", func(p *mapping.Point) { p.Scale, p.Unit, p.Absent = "0.1", "°C", []string{"-32768"} }),
		point("pressure", func(p *mapping.Point) { p.Unit, p.Decimals, p.Min, p.Max = "bar", 1, "0", "400" }),
		point("guard", func(p *mapping.Point) { p.Kind = mapping.Bool }),
	})

	kiln := device([]mapping.Point{point("zone_1", decimalComma), point("zone_2", decimalComma), point("draft", func(p *mapping.Point) { p.Decimal, p.Unit = ',', "Pa" })})
	kiln.Events[0].RowTime = true

	lab := device([]mapping.Point{
		point("batch_no", func(p *mapping.Point) { p.Kind = mapping.Text }),
		point("moisture", func(p *mapping.Point) { p.Decimal, p.Thousands = ',', '.' }),
		point("verdict", func(p *mapping.Point) {
			p.Kind, p.Enum = mapping.Text, []mapping.EnumValue{{Raw: "i.O.", Value: "pass"}, {Raw: "n.i.O.", Value: "fail"}}
		}),
	})
	lab.ID, lab.IDs, lab.Events[0].RowTime = "LAB-{row.Linie}", []string{"LAB-1", "LAB-2", "LAB-3"}, true

	wind := device([]mapping.Point{
		point("angle", func(p *mapping.Point) { p.Unit, p.Min, p.Max = "°", "0", "360" }),
		point("speed", func(p *mapping.Point) { p.Unit, p.ReadUnit, p.Decimals = "m/s", "kn", 2 }),
	})

	gas := device([]mapping.Point{
		point("h2", func(p *mapping.Point) { p.Scale, p.Unit, p.Absent = "0.1", "%LEL", []string{"65535"} }),
		point("alarm", bit(0)), point("fault", bit(7)),
	})

	row := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		device mapping.Device
		given  adapters.Reading
		want   string
	}{
		{"a stable weighing in grams", scale, reading(noon, "weight", "    192.21", "from.unit", "g", "stable", ""),
			`type/ID-1 weighed {"d":{"weight":0.19221},"ts":"2026-05-11T12:00:00.114Z"}`},
		{"a stable weighing in kilograms", scale, reading(noon, "weight", "+   1.500", "from.unit", "kg", "stable", ""),
			`type/ID-1 weighed {"d":{"weight":1.500},"ts":"2026-05-11T12:00:00.114Z"}`},
		{"a moving scale", scale, reading(noon, "weight", "    0.01", "from.unit", "g", "stable", "?"), ""},
		{"a unit that is none of weight", scale, reading(noon, "weight", "0.01", "from.unit", "bar", "stable", ""),
			`dead MAP015: weight is in "bar", a unit that does not convert into kg`},
		{"no unit", scale, reading(noon, "weight", "0.01", "stable", ""), `dead MAP015: weight is in "", a unit that does not convert into kg`},
		{"123.4 kg gross, standing still", truck, reading(noon, "digits", "1234", "tare_d", "0", "dp", "43", "net", "48", "minus", "48", "over", "48", "motion", "48"),
			`type/ID-1 weight {"d":{"weight":123,"tare":0,"net":false,"over":false},"ts":"2026-05-11T12:00:00.114Z"}`},
		{"moving", truck, reading(noon, "digits", "1190", "tare_d", "44", "dp", "43", "net", "57", "minus", "57", "over", "57", "motion", "57"), ""},
		{"minus 119 kg", truck, reading(noon, "digits", "1190", "tare_d", "44", "dp", "43", "net", "3", "minus", "3", "over", "3", "motion", "3"),
			`type/ID-1 weight {"d":{"weight":-119,"tare":4,"net":true,"over":false},"ts":"2026-05-11T12:00:00.114Z"}`},
		{"a float and a sentinel", press, reading(noon, "oil_temp", "-32768", "pressure", "200.3", "guard", "true"),
			`type/ID-1 data {"d":{"pressure":200.3,"guard":true},"ts":"2026-05-11T12:00:00.114Z"}`},
		{"an exception on one request", press, reading(noon, "oil_temp", "305"), `type/ID-1 data {"d":{"oil_temp":30.5},"ts":"2026-05-11T12:00:00.114Z"}`},
		{"all absent", press, reading(noon, "oil_temp", "-32768", "pressure", "NaN"), ""},
		{"nothing at all", press, reading(noon), ""},
		{"decimal commas", kiln, reading(time.Date(2026, 3, 1, 8, 0, 10, 0, time.FixedZone("KST", 9*3600)), "zone_1", "1043,5", "zone_2", "---", "draft", "-12,4"),
			`type/ID-1 data {"d":{"zone_1":1043.5,"draft":-12.4},"ts":"2026-02-28T23:00:10.000Z"}`},
		{"an id from a column", lab, reading(row, "row.Linie", "2 ", "batch_no", "B77", "moisture", "12,5", "verdict", "i.O."),
			`type/LAB-2 data {"d":{"batch_no":"B77","moisture":12.5,"verdict":"pass"},"ts":"2026-10-25T00:30:00.000Z"}`},
		{"an id that is not listed", lab, reading(row, "row.Linie", "../+/#", "batch_no", "B77", "moisture", "12,5", "verdict", "i.O."),
			`dead MAP016: the record is for the id "LAB-../+/#", which is not in ids`},
		{"no column for the id", lab, reading(row, "batch_no", "B77", "moisture", "12,5"), `dead MAP016: the id LAB-{row.Linie} needs row.Linie, which the record does not have`},
		{"knots", wind, reading(noon, "angle", "251.4", "speed", "3.1"), `type/ID-1 data {"d":{"angle":251.4,"speed":1.59},"ts":"2026-05-11T12:00:00.114Z"}`},
		{"bits of a register", gas, reading(noon, "h2", "65535", "alarm", "128", "fault", "128"), `type/ID-1 data {"d":{"alarm":false,"fault":true},"ts":"2026-05-11T12:00:00.114Z"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := show(t, newMapper(t, test.device).Map(noon, []adapters.Reading{test.given})); got != test.want {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestPayloadShapes(t *testing.T) {
	points := []mapping.Point{point("weight"), point("net", func(p *mapping.Point) { p.Kind = mapping.Bool })}
	floor := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	boot := time.Date(1970, 1, 1, 0, 0, 7, 0, time.UTC)
	row := time.Date(2019, 7, 1, 10, 0, 0, 999_999_999, time.FixedZone("", -3600))
	for _, test := range []struct {
		name    string
		rule    func(*mapping.EventRule)
		live    bool
		now, at time.Time
		want    string
	}{
		{"d", nil, false, noon, time.Time{}, `{"d":{"weight":123,"net":false},"ts":"2026-05-11T12:00:00.114Z"}`},
		{"flat", func(e *mapping.EventRule) { e.Flat = true }, false, noon, time.Time{}, `{"weight":123,"net":false,"ts":"2026-05-11T12:00:00.114Z"}`},
		{"the order of the rule", func(e *mapping.EventRule) { e.Points = []string{"net", "weight"} }, false, noon, time.Time{}, `{"d":{"net":false,"weight":123},"ts":"2026-05-11T12:00:00.114Z"}`},
		{"arrival of a row with its own time", nil, false, noon, row, `{"d":{"weight":123,"net":false},"ts":"2026-05-11T12:00:00.114Z"}`},
		{"arrival of a line that waited for a commit", nil, true, noon, noon.Add(-time.Second), `{"d":{"weight":123,"net":false},"ts":"2026-05-11T11:59:59.114Z"}`},
		{"the row's own time", func(e *mapping.EventRule) { e.RowTime = true }, false, noon, row, `{"d":{"weight":123,"net":false},"ts":"2019-07-01T11:00:00.999Z"}`},
		{"no clock", nil, false, boot, time.Time{}, `{"d":{"weight":123,"net":false},"clock":"unset"}`},
		{"no clock, flat", func(e *mapping.EventRule) { e.Flat = true }, false, boot, time.Time{}, `{"weight":123,"net":false,"clock":"unset"}`},
		{"no clock when it arrived", nil, true, noon, boot, `{"d":{"weight":123,"net":false},"clock":"unset"}`},
		{"no clock, but the row's own time", func(e *mapping.EventRule) { e.RowTime = true }, false, boot, row, `{"d":{"weight":123,"net":false},"ts":"2019-07-01T11:00:00.999Z"}`},
		{"no clock, and a row without its own time", func(e *mapping.EventRule) { e.RowTime = true }, false, boot, time.Time{}, `{"d":{"weight":123,"net":false},"clock":"unset"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := device(points)
			d.Live = test.live
			if test.rule != nil {
				test.rule(&d.Events[0])
			}
			m, err := mapping.New(mapping.Config{Devices: []mapping.Device{d}, ClockFloor: floor})
			if err != nil {
				t.Fatal(err)
			}
			out := m.Map(test.now, []adapters.Reading{reading(test.at, "weight", "123", "net", "0")})
			checkLedger(t, out)
			if got := string(out.Events[0].Payload); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestAnEventCarriesItsRule(t *testing.T) {
	d := device([]mapping.Point{point("p")})
	d.Events[0] = mapping.EventRule{Name: "trace", Points: []string{"p"}, Format: "x", QoS: 2, Batch: mapping.Batch{Max: 6, Within: time.Minute}, TooLarge: mapping.Split, Suffix: "-part"}
	d.Events = append(d.Events, event("other", "p"))
	out := newMapper(t, d).Map(noon, []adapters.Reading{reading(time.Time{}, "p", "1"), reading(time.Time{}, "p", "2")})
	if len(out.Events) != 4 {
		t.Fatalf("got %d events, want 4", len(out.Events))
	}
	got := out.Events[0]
	if got.Device != "dev" || got.Type != "type" || got.ID != "ID-1" || got.Name != "trace" || got.Format != "x" || got.QoS != 2 || !got.Time.Equal(noon) ||
		got.Number != mapping.NoNumber || got.Part != 0 || got.Batch.Max != 6 || got.Batch.Within != time.Minute || got.TooLarge != mapping.Split || got.Suffix != "-part" {
		t.Errorf("got %+v", got)
	}
	if out.Events[1].Number != mapping.AsMember {
		t.Errorf("with an id: got number form %d, want %d", out.Events[1].Number, mapping.AsMember)
	}
	var order []string
	for i := range out.Events {
		order = append(order, out.Events[i].Name+string(out.Events[i].Payload[10]))
	}
	if got, want := strings.Join(order, " "), "trace1 other1 trace2 other2"; got != want {
		t.Errorf("got the order %s, want %s", got, want)
	}
	for i := range out.Events { // one payload cannot grow into the next
		if p := out.Events[i].Payload; cap(p) != len(p) {
			t.Errorf("payload %d has room for %d more bytes, want 0", i, cap(p)-len(p))
		}
	}
}

package modbus_test

import (
	"context"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/modbus"
)

// writeToLibmodbus writes with every function and order, and reads back what libmodbus has of it then.
func writeToLibmodbus(t *testing.T, cfg modbus.Config) {
	t.Helper()
	at := func(name string, table modbus.Table, address uint16, typ, order string, function int) (modbus.Point, modbus.Command) {
		return modbus.Point{Name: name, Table: table, Address: address, Type: typ, Order: order},
			modbus.Command{Name: name, Table: table, Address: address, Type: typ, Order: order, Function: function}
	}
	d := modbus.Device{Name: "drive", Unit: 7, Every: 50 * time.Millisecond}
	values := map[string]string{"fc6": "8192", "fc16": "8193", "i16": "-2", "f32": "230.2", "f32_cdab": "-0.5", "i32_dcba": "-100000", "u64_badc": "18446744073709551615",
		"fc5": "true", "fc15": "true", "fc5_off": "false"}
	for _, c := range []struct {
		name       string
		table      modbus.Table
		address    uint16
		typ, order string
		function   int
	}{
		{"fc6", modbus.Holding, 10, "", "", 0}, {"fc16", modbus.Holding, 11, "", "", 16}, {"i16", modbus.Holding, 12, "i16", "", 0},
		{"f32", modbus.Holding, 20, "f32", "", 0}, {"f32_cdab", modbus.Holding, 22, "f32", "CDAB", 0}, {"i32_dcba", modbus.Holding, 24, "i32", "DCBA", 0},
		{"u64_badc", modbus.Holding, 26, "u64", "BADC", 0}, {"fc5", modbus.Coil, 1, "", "", 0}, {"fc15", modbus.Coil, 2, "", "", 15}, {"fc5_off", modbus.Coil, 3, "", "", 0},
	} {
		p, cmd := at(c.name, c.table, c.address, c.typ, c.order, c.function)
		d.Points, d.Commands = append(d.Points, p), append(d.Commands, cmd)
	}
	d.Commands = append(d.Commands, modbus.Command{Name: "nowhere", Address: 5000})
	cfg.Devices = []modbus.Device{d}
	s, err := modbus.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, nil, newCatch().put) }()
	for name, value := range values {
		if a := s.Write(ctx, adapters.Order{Device: "drive", Command: name, Value: value}); a.Outcome != adapters.Written {
			t.Errorf("%s = %s: %+v", name, value, a)
		}
	}
	if a := s.Write(ctx, adapters.Order{Device: "drive", Command: "nowhere", Value: "1"}); a.Outcome != adapters.NotWritten || a.Code != adapters.CodeRefused {
		t.Errorf("a register that is not there: %+v", a)
	}
	for name, value := range values {
		r, err := s.Read(ctx, "drive", name)
		got := ""
		for i, n := range r.Names {
			if n == name {
				got = r.Values[i]
			}
		}
		if err != nil || got != value {
			t.Errorf("%s reads %s, %v, want %s", name, got, err, value)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

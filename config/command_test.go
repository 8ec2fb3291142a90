package config

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"legacybridge/adapters/modbus"
	"legacybridge/adapters/serial"
	"legacybridge/mapping"
	"legacybridge/publisher"
)

const commandSite = `schema = 1
[writes]
ALLOW
audit = "state:sub/audit.log"
[defaults]
qos = 2
with_id = false
[links.plc]
modbus_tcp = "192.168.10.21:502"
[devices.fan]
type = "drive"
id = "FAN-3"
link = "plc"
count_from = 1
points.speed = { holding = 1, unit = "%" }
points.on = { coil = 1 }
[devices.fan.commands.set_speed]
args = { percent = { type = "number", min = 0, max = 1e2, enum = [10, 20.5] } }
write = { holding = 50010, type = "u32", order = "CDAB", value = "percent * 10", function = 16 }
verify = { point = "speed", within = "30s", tolerance = 0.5 }
only_if = "on && speed < 50"
min_interval = "10s"
reply = "done"
[devices.fan.commands.switch]
args = { on = { type = "bool" } }
write = { coil = 5, value = "on" }
[links.line]
serial = "/dev/ttyS1"
[devices.scale]
type = "scale"
link = "line"
line = '^(?<w>\d+)$'
points.weight = { from = "w" }
[devices.scale.commands.tare]
args = { to = { type = "text", enum = ["a", "b"] } }
send = "T {to}\r\n"
expect = '^T S '
`

func commandsOf(t *testing.T, allow string) *Config {
	t.Helper()
	cfg, problems := Load(write(t, "legacybridge.toml", strings.Replace(commandSite, "ALLOW", allow, 1)), Options{State: "/state"})
	if cfg == nil {
		t.Fatal(problems)
	}
	return cfg
}

func TestCommandsAreAssembled(t *testing.T) {
	cfg := commandsOf(t, "allow = true")
	equal(t, "writes", cfg.Writes, Writes{Allow: true, Audit: "/state/sub/audit.log", Topic: publisher.DefaultCommands})
	equal(t, "rules of the fan", cfg.Links[0].Mapping.Devices[0].Commands, []mapping.Command{
		{Name: "set_speed", Args: []mapping.Arg{{Name: "percent", Min: "0", Max: "100", Enum: []string{"10", "20.5"}}}, Value: "percent * 10", Type: "u32",
			OnlyIf: "on && speed < 50", Verify: mapping.Verify{Point: "speed", Within: 30 * time.Second, Tolerance: "0.5"}, MinInterval: 10 * time.Second, Reply: "done", QoS: 2},
		{Name: "switch", Args: []mapping.Arg{{Name: "on", Kind: mapping.BoolArg}}, Value: "on", Type: "bool", QoS: 2},
	})
	equal(t, "places of the fan", cfg.Links[0].Modbus.Devices[0].Commands, []modbus.Command{
		{Name: "set_speed", Address: 50009, Type: "u32", Order: "CDAB", Function: 16}, {Name: "switch", Table: modbus.Coil, Address: 4},
	})
	equal(t, "rules of the scale", cfg.Links[1].Mapping.Devices[0].Commands, []mapping.Command{
		{Name: "tare", Args: []mapping.Arg{{Name: "to", Kind: mapping.TextArg, Enum: []string{"a", "b"}}}, Send: "T {to}\r\n", QoS: 2},
	})
	equal(t, "answers of the scale", cfg.Links[1].Serial.Devices[0].Commands, []serial.Command{{Name: "tare", Expect: regexp.MustCompile(`^T S `)}})
	for _, l := range cfg.Links {
		if l.Modbus != nil {
			if _, err := modbus.New(*l.Modbus); err != nil {
				t.Error(err)
			}
		}
	}
}

// Nothing is written unless the configuration says so: without it no adapter even knows where.
func TestWithoutAllowNoAdapterKnowsWhatToWrite(t *testing.T) {
	for _, allow := range []string{"", "allow = false"} {
		cfg := commandsOf(t, allow)
		if cfg.Writes.Allow || cfg.Links[0].Modbus.Devices[0].Commands != nil || cfg.Links[1].Serial.Devices[0].Commands != nil {
			t.Errorf("%q: got %+v, %+v, %+v", allow, cfg.Writes, cfg.Links[0].Modbus.Devices[0].Commands, cfg.Links[1].Serial.Devices[0].Commands)
		}
	}
	cfg, _ := Load(write(t, "legacybridge.toml", "schema = 1\n"), Options{State: "/state"})
	equal(t, "default", cfg.Writes, Writes{Audit: "/state/writes.log", Topic: publisher.DefaultCommands})
}

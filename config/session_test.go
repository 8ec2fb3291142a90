package config

import "testing"

func TestClientIDAndSessionAreThoseOfTheForm(t *testing.T) {
	const link = `
[links.plc]
modbus_tcp = "192.168.10.21:502"
[devices.press]
type = "press"
link = "plc"
[devices.press.points]
state = { holding = 1 }
[devices.press.events.cycle]
points = ["state"]
`
	for _, c := range []struct {
		keys   string
		client string
		keep   bool
		qos    byte
	}{
		{``, "a:legacy:site", false, 1},
		{`clean_session = false`, "a:legacy:site", true, 1},
		{`scalable = true`, "A:legacy:site", true, 1},
		{"scalable = true\nclean_session = true", "A:legacy:site", false, 1},
		{"scalable = true\ninstance = \"one\"", "A:legacy:site:one", false, 1},
		{"scalable = true\ninstance = \"one\"\nclean_session = false\nqos = 0", "A:legacy:site:one", true, 0},
		{"qos = 2", "a:legacy:site", false, 2},
		{"server = \"mqtt://quickstart.example.com\"\norg = \"quickstart\"", "a:quickstart:site", false, 0},
		{`org = "quickstart"`, "a:quickstart:site", false, 0},
	} {
		cfg, problems := Load(write(t, "a.toml", "schema = 1\n[platform]\napp = \"site\"\n"+c.keys+link), Options{State: "/state"})
		if cfg == nil || len(problems) > 0 {
			t.Fatalf("%s: got %v, want no problems", c.keys, problems)
		}
		qos := cfg.Links[0].Mapping.Devices[0].Events[0].QoS
		if cfg.Platform.ClientID != c.client || cfg.Platform.KeepSession != c.keep || qos != c.qos {
			t.Errorf("%s: got %s, kept %v, QoS %d, want %s, %v, %d", c.keys, cfg.Platform.ClientID, cfg.Platform.KeepSession, qos, c.client, c.keep, c.qos)
		}
		if cfg.LocalCfg.Org != "legacy" {
			t.Errorf("%s: got %s, want the embedded platform to be that of legacy", c.keys, cfg.LocalCfg.Org)
		}
	}
}

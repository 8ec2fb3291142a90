package config

import (
	"testing"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestRulesOfTheEmbeddedPlatform(t *testing.T) {
	for text, want := range map[string]localplatform.Config{
		"": {Quickstart: true},
		"[local.rules]\nscalable_clean_session = \"server\"\nquickstart_wildcards = \"server\"\nunregistered = \"accept\"\nquickstart = false\nbuffer = 10\nthrottle = 20": {
			ScalableCleanSession: wiotp.CleanServer, QuickstartWildcards: wiotp.ServerWildcards, Unregistered: localplatform.AcceptUnregistered, Buffer: 10, Throttle: 20},
		"[local.rules]\nscalable_clean_session = \"any\"":                                                                                 {ScalableCleanSession: wiotp.CleanAny, Quickstart: true},
		"[local.rules]\nscalable_clean_session = \"document\"":                                                                            {Quickstart: true},
		"[local]\nlisten = \"[::1]:1884\"":                                                                                                {Quickstart: true},
		"[local]\nlisten = \"0.0.0.0:1884\"\nusers = { \"a-legacy-x\" = { token = { file = \"t\" } } }":                                   {},
		"[local]\nlisten = \"0.0.0.0:1884\"\nusers = { \"a-legacy-x\" = { token = { file = \"t\" } } }\n[local.rules]\nquickstart = true": {Quickstart: true},
	} {
		cfg, problems := Load(write(t, "a.toml", "schema = 1\n"+text+"\n", "t", "token"), Options{State: "/state"})
		if cfg == nil {
			t.Errorf("%s: got %v, want a configuration", text, problems)
			continue
		}
		got := localplatform.Config{ScalableCleanSession: cfg.LocalCfg.ScalableCleanSession, QuickstartWildcards: cfg.LocalCfg.QuickstartWildcards,
			Unregistered: cfg.LocalCfg.Unregistered, Quickstart: cfg.LocalCfg.Quickstart, Buffer: cfg.LocalCfg.Buffer, Throttle: cfg.LocalCfg.Throttle}
		equal(t, text, got, want)
	}
}

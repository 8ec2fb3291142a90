package config

import (
	"math"

	"legacybridge/publisher/wiotp"
)

// The grammar of everything but equipment. Limits of durations are in milliseconds.

const (
	hour = 3600 * 1000
	day  = 24 * hour
)

// maxMQTT is what MQTT's length field leaves beside the longest topic.
const maxMQTT = 256<<20 - 1<<17

var mainKeys = []key{
	{name: "schema", kind: whole, need: true},
	{name: "include", kind: texts},
}

// fileKeys may stand in every file.
var fileKeys = []key{
	{name: "site", kind: tableOf, sub: siteKeys},
	{name: "platform", kind: tableOf, sub: platformKeys},
	{name: "local", kind: tableOf, sub: localKeys},
	{name: "queue", kind: tableOf, sub: queueKeys},
	{name: "dead_letters", kind: tableOf, sub: deadKeys},
	{name: "web", kind: tableOf, sub: webKeys},
	{name: "log", kind: tableOf, sub: logKeys},
	{name: "writes", kind: tableOf, sub: writesKeys},
	{name: "defaults", kind: tableOf, sub: defaultKeys},
	{name: "links", kind: named},
	{name: "devices", kind: named},
	{name: "profiles", kind: later, soon: true},
	{name: "test", kind: later, soon: true},
}

var siteKeys = []key{
	{name: "name", kind: anyText},
	{name: "timezone", kind: zone},
	{name: "language", kind: later, soon: true},
	{name: "self", kind: later, soon: true},
	{name: "reload_on_change", kind: later, soon: true},
}

var platformKeys = []key{
	{name: "server", kind: servers},
	{name: "org", kind: anyText},
	{name: "app", kind: anyText},
	{name: "scalable", kind: yesNo},
	{name: "instance", kind: anyText},
	{name: "clean_session", kind: yesNo},
	{name: "api_key", kind: anyText},
	{name: "token", kind: secretTable},
	{name: "ca", kind: anyText},
	{name: "cert", kind: anyText},
	{name: "key", kind: anyText},
	{name: "keepalive", kind: duration, lo: 1000, hi: 12 * hour},
	{name: "window", kind: whole, lo: 1, hi: 1000},
	{name: "max_payload", kind: whole, lo: 1024, hi: maxMQTT},
	{name: "topic", kind: anyText},
	{name: "commands", kind: anyText},
	{name: "qos", kind: whole, lo: 0, hi: 2},
	{name: "backoff", kind: tableOf, sub: []key{
		{name: "first", kind: duration, lo: 10, hi: hour},
		{name: "max", kind: duration, lo: 10, hi: day},
		{name: "jitter", kind: fraction},
	}},
	{name: "registry", kind: tableOf, sub: []key{
		{name: "url", kind: anyText, need: true},
		{name: "api_key", kind: anyText, need: true},
		{name: "token", kind: secretTable, need: true},
	}},
}

var localKeys = []key{
	{name: "listen", kind: hostPort},
	{name: "cert", kind: anyText},
	{name: "key", kind: anyText},
	{name: "max_payload", kind: whole, lo: 1024, hi: maxMQTT},
	{name: "store", kind: anyText},
	{name: "users", kind: users, sub: []key{
		{name: "token", kind: secretTable, need: true},
		{name: "role", kind: word, words: wiotp.RoleNames(), what: "a role"},
		{name: "devices", kind: texts},
	}},
	{name: "rules", kind: tableOf, sub: []key{
		{name: "scalable_clean_session", kind: word, words: []string{"document", "server", "any"}, what: "a rule for the clean session of A:ORG:APP"},
		{name: "quickstart_wildcards", kind: word, words: []string{"document", "server"}, what: "a rule for + on Quickstart"},
		{name: "unregistered", kind: word, words: []string{"reject", "accept"}, what: "a rule for unregistered devices"},
		{name: "quickstart", kind: yesNo},
		{name: "buffer", kind: whole, lo: 1, hi: 1_000_000},
		{name: "throttle", kind: whole, lo: 0, hi: 1_000_000},
	}},
}

var whenFull = []string{"stop-reading", "drop-oldest", "drop-newest"}

var queueKeys = []key{
	{name: "path", kind: anyText},
	{name: "max_bytes", kind: size, lo: 1 << 20},
	{name: "max_age", kind: duration, lo: 1000, hi: 3650 * day},
	{name: "when_full", kind: word, words: whenFull, what: "something to do when the queue is full"},
	{name: "linger", kind: duration, lo: 0, hi: 1000},
}

var deadKeys = []key{
	{name: "path", kind: anyText},
	{name: "max_bytes", kind: size, lo: 1 << 20},
	{name: "max_age", kind: duration, lo: 1000, hi: 3650 * day},
}

var webKeys = []key{
	{name: "listen", kind: anyText, need: true},
	{name: "auth", kind: later, soon: true},
	{name: "hosts", kind: later, soon: true},
}

var logKeys = []key{
	{name: "level", kind: word, words: []string{"error", "warn", "info", "debug"}, what: "a log level"},
	{name: "format", kind: word, words: []string{"auto", "journald", "text", "json"}, what: "a log format"},
}

// publishKeys are those of [defaults] that an event may have too.
var publishKeys = []key{
	{name: "qos", kind: whole, lo: 0, hi: 2},
	{name: "format", kind: name, class: topicName},
	{name: "payload", kind: word, words: []string{"d", "flat"}, what: "a payload"},
	{name: "with_id", kind: yesNo},
	{name: "too_large", kind: word, words: []string{"chunk", "split", "reject"}, what: "something to do with what is too large"},
	{name: "chunk_suffix", kind: name, class: suffix},
	{name: "timestamp", kind: word, words: []string{"arrival", "row"}, what: "a clock"},
}

var pollKeys = []key{
	{name: "timeout", kind: duration, on: modbusLinks, lo: 10, hi: 60 * 1000},
	{name: "retries", kind: whole, on: modbusLinks, lo: 0, hi: 20},
	{name: "max_gap", kind: whole, on: modbusLinks, lo: 0, hi: 124},
	{name: "max_read", kind: whole, on: modbusLinks, lo: 1, hi: 125},
}

var reopenKey = key{name: "reopen", kind: duration, on: lines | modbusLinks, lo: 100, hi: hour}

var defaultKeys = append([]key{
	{name: "every", kind: duration, lo: 10, hi: day},
	{name: "stale", kind: silence, lo: 100, hi: 365 * day},
	{name: "modbus", kind: tableOf, sub: pollKeys},
	{name: "serial", kind: tableOf, sub: []key{{name: "mode", kind: mode}, reopenKey}},
}, publishKeys...)

const anySize = math.MaxInt64

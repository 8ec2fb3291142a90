package main_test

import (
	"fmt"
	"testing"

	"legacybridge/publisher/queue"
)

// TestOracleSeesEveryBrokenPromise tests the test: each of these deliveries breaks one promise, and the oracle says which.
func TestOracleSeesEveryBrokenPromise(t *testing.T) {
	const topic = "iot-2/type/logger/id/LOG-1/evt/row/fmt/json"
	sent := func(row, number int) message {
		body := logBody(row)
		return message{topic, fmt.Sprintf(`%s,"id":"0a1b2c3d-%d"}`, body[:len(body)-1], number)}
	}
	type wrong struct{ lost, invented, disordered, changed, duplicates int }
	for name, c := range map[string]struct {
		got  []message
		want wrong
	}{
		"all is well":                {[]message{sent(1, 1), sent(2, 2), sent(3, 3)}, wrong{}},
		"one is lost":                {[]message{sent(1, 1), sent(3, 3)}, wrong{lost: 1}},
		"two changed places":         {[]message{sent(1, 1), sent(3, 2), sent(2, 3)}, wrong{disordered: 1}},
		"numbers fall":               {[]message{sent(1, 2), sent(2, 1), sent(3, 3)}, wrong{disordered: 1}},
		"one comes again":            {[]message{sent(1, 1), sent(2, 2), sent(1, 1), sent(2, 2), sent(3, 3)}, wrong{duplicates: 2}},
		"a row is taken twice":       {[]message{sent(1, 1), sent(2, 2), sent(3, 3), sent(3, 4)}, wrong{invented: 1}},
		"a number is used again":     {[]message{sent(1, 1), sent(2, 1), sent(3, 3)}, wrong{lost: 1, changed: 1, duplicates: 1}},
		"nobody said that":           {[]message{sent(1, 1), sent(2, 2), sent(3, 3), sent(4, 4)}, wrong{invented: 1}},
		"another device":             {[]message{sent(1, 1), sent(2, 2), sent(3, 3), {"iot-2/type/logger/id/LOG-2/evt/row/fmt/json", sent(1, 4).payload}}, wrong{invented: 1}},
		"no id":                      {[]message{sent(1, 1), sent(2, 2), sent(3, 3), {topic, logBody(3)}}, wrong{invented: 1}},
		"one that was held is not":   {[]message{sent(1, 1), sent(2, 2), sent(3, 3)}, wrong{lost: 1}},
		"the queue held other bytes": {[]message{sent(1, 1), sent(2, 2), sent(3, 3)}, wrong{changed: 1}},
	} {
		o := newLogOracle(3)
		o.names("scale", "bench-scale/SCL-1/weighed")
		switch name {
		case "one that was held is not":
			o.held["0a1b2c3d-9"] = held{"bench-scale/SCL-1/weighed", message{"", `{"d":{"weight":1.25},"id":"0a1b2c3d-9"}`}}
		case "the queue held other bytes":
			o.held["0a1b2c3d-3"] = held{logEvent, sent(2, 3)}
		}
		v := o.judge(c.got)
		got := wrong{v.lost["log"] + v.lost["scale"], v.invented, v.disordered, v.changed, v.duplicates}
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestOracleJoinsParts(t *testing.T) {
	const topic = "iot-2/type/recorder/id/TXT-1/evt/long/fmt/json"
	part := func(n int, data, sum string) message {
		return message{topic, fmt.Sprintf(`{"chunk":{"id":"0a1b2c3d-7","n":%d,"of":2,"bytes":11,"sha256":"%s"},"data":"%s"}`, n, sum, data)}
	}
	// {"d":{"n":1 in two parts, and its sum.
	const first, second = "eyJkIjp7", "Im4iOjE="
	for sum, invented := range map[string]int{"8b0b3a3a0ed2ee5e0d5d3d2b7d3ee5b8b0c9a0e3ee9b2a1c0d4f5e6a7b8c9d0e": 1, sumOf(`{"d":{"n":1`): 0} {
		o := newOracle()
		o.names("texts", "recorder/TXT-1/long")
		o.row("recorder/TXT-1/long", `{"d":{"n":1`)
		v := o.judge([]message{part(1, first, sum), part(1, first, sum), part(2, second, sum)})
		if v.invented != invented || v.delivered != 1 || v.lost["texts"] != invented || v.duplicates != 1 {
			t.Errorf("sum %.8s…: got %+v, want %d invented, 1 delivered, 1 again", sum, v, invented)
		}
	}
}

func TestOracleAllowsWhatTheRulesDropped(t *testing.T) {
	o := newLogOracle(3)
	v := o.judge(nil)
	o.books["log"] = queue.Account{Dropped: 2}
	if v.lost["log"] != 3 || o.excused(v) != 2 {
		t.Errorf("got %d lost, %d of them excused, want 3 and 2", v.lost["log"], o.excused(v))
	}
}

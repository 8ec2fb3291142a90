package mapping_test

import (
	"errors"
	"strings"
	"testing"

	"legacybridge/mapping"
)

func TestWhereIsMetByWhatThePayloadHas(t *testing.T) {
	for _, c := range []struct {
		where, payload string
		want           bool
	}{
		{`weight > 10`, `{"d":{"weight":12.5}}`, true},
		{`weight > 10`, `{"weight":12.5}`, true},
		{`weight > 10`, `{"d":{"weight":9}}`, false},
		{`weight > 10`, `{"d":{}}`, false},
		{`weight > 10`, `{"d":{"weight":"heavy"}}`, false},
		{`weight > 10`, `null`, false},
		{`weight > 10`, `[1]`, false},
		{`weight > 10`, `QS;12`, false},
		{`weight`, `{"weight":1}`, false},
		{`state == "run" && !alarm`, `{"d":{"state":"run","alarm":false}}`, true},
		{`state in ["run", "idle"]`, `{"state":"idle"}`, true},
		{`zone["1"] >= 1000`, `{"zone":{"1":1043.5}}`, true},
		{`state contains "err"`, `{"state":"error 7"}`, true},
		{`state matches "^E[0-9]+$"`, `{"state":"E17"}`, true},
		{`topic.type == "kiln" and topic.id startsWith "K-"`, `{}`, true},
		{`topic.name == "other"`, `{}`, false},
		{`len(state) > 1`, `{"state":"run"}`, false},
	} {
		w, err := mapping.NewWhere(c.where)
		if strings.HasPrefix(c.where, "len") {
			if err == nil {
				t.Errorf("%s: got nil, want an error: there are no functions", c.where)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.where, err)
			continue
		}
		for range 2 { // the machine is used again
			if got := w.Match("kiln", "K-1", "temperature", "json", []byte(c.payload)); got != c.want {
				t.Errorf("%s of %s: got %v, want %v", c.where, c.payload, got, c.want)
			}
		}
	}
}

func TestWhereThatDoesNotReadSaysWhy(t *testing.T) {
	for _, text := range []string{"", "weight >", "weight > > 1", strings.Repeat("a && ", 3000) + "a", "1..1000000000 == [1]"} {
		w, err := mapping.NewWhere(text)
		if err == nil {
			if w.Match("kiln", "K-1", "t", "json", []byte(`{"a":true}`)) {
				t.Errorf("%.30q: got a match, want none", text)
			}
			continue
		}
		if rule, ok := errors.AsType[*mapping.RuleError](err); !ok || rule.Why == "" || strings.Contains(rule.Why, "\n") {
			t.Errorf("%.30q: got %v, want a reason on one line", text, err)
		}
	}
}

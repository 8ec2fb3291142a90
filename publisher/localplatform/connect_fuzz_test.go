package localplatform

import (
	"bytes"
	"errors"
	"testing"

	"legacybridge/publisher/wiotp"
)

func FuzzLogin(f *testing.F) {
	f.Add([]byte("\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"))
	f.Add([]byte("\x10\x1b\x00\x04MQTT\x04\xc2\x00\x3c\x00\x07a:o:app\x00\x01u\x00\x01p"))
	f.Add([]byte("\x10\x1b\x00\x06MQIsdp\x03\x0e\x00\x00\x00\x07a:o:app\x00\x01t\x00\x01w"))
	f.Add([]byte("\x10\x80\x80\x80\x01"))
	f.Add([]byte("\x10\xff\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 10_000
		raw, refusal := readLogin(bytes.NewReader(b), limit, func() bool { return true })
		if refusal != nil {
			if refusal.Why == "" || refusal.Connack != 0 {
				t.Fatalf("got %+v, want a reason and no answer", refusal)
			}
			return
		}
		if !bytes.HasPrefix(b, raw) || len(raw) > limit {
			t.Fatalf("got % x, want the beginning of % x", raw, b)
		}
		l, err := parseLogin(raw)
		if err != nil {
			if r, ok := errors.AsType[*wiotp.Refusal](err); !ok || r.Why == "" {
				t.Fatalf("got %#v, want a refusal", err)
			}
			return
		}
		if n := len(l.id) + len(l.user) + len(l.password) + len(l.will.topic) + len(l.will.payload); n > len(raw) {
			t.Fatalf("got %d bytes of fields from %d", n, len(raw))
		}
	})
}

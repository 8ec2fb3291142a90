package localplatform_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

// FuzzSession feeds the connections of clients of all kinds with any bytes, in any pieces. Whatever they are: no panic,
// nothing published or heard that the client may not, and nothing left behind.
func FuzzSession(f *testing.F) {
	publish := func(topic string, qos byte) []byte {
		b := str(nil, topic)
		if qos > 0 {
			b = append(b, 0, 1)
		}
		return packet(0x30|qos<<1, append(b, "21.5"...))
	}
	subscribe := func(filters ...string) []byte {
		b := []byte{0, 2}
		for _, filter := range filters {
			b = append(str(b, filter), 1)
		}
		return packet(0x82, b)
	}
	for kind := range byte(6) {
		for i, packets := range [][]byte{
			publish(kilnTopic, 1), publish("iot-2/evt/t/fmt/json", 2), publish("iot-2/type/meter/id/M-1/evt/t/fmt/json", 0), publish(kilnReset, 1),
			append(subscribe(allEvents, anyCommand), 0xc0, 0), subscribe(anyApp, anyDevice), subscribe("iot-2/cmd/+/fmt/+"), subscribe("iot-2/type/kiln/id/+/evt/+/fmt/+"),
			packet(0xa2, str([]byte{0, 3}, allEvents)), {0x40, 2, 0, 1, 0x50, 2, 0, 1, 0x62, 2, 0, 1, 0x70, 2, 0, 1}, {0xe0, 0}, {0x10, 0}, {0x30, 0xff, 0xff, 0xff, 0xff},
		} {
			f.Add(kind, byte(i), packets)
		}
	}
	s := start(f, func(cfg *localplatform.Config) {
		cfg.Quickstart = true
		cfg.Log = nil
		cfg.Devices = append(cfg.Devices, localplatform.Device{Type: "meter", ID: "M-1"})
		cfg.Users = map[string]localplatform.User{
			"a-legacy-all":           {Token: "good-token-of-all"},
			"a-legacy-kilns":         {Token: "good-token-of-kilns", Group: wiotp.Group{{Type: "kiln", ID: "*"}}},
			"a-legacy-visualization": {Token: "good-token-of-visualization", Role: wiotp.Visualization},
		}
	})
	s.fill(f)
	member := asKey("all", "fuzz")
	member.id, member.persistent = "A:legacy:fuzz", true
	clients := []connect{asKey("visualization", "reads"), asKey("kilns", "fuzz"), theDevice, theGateway, {id: "a:quickstart:fuzz"}, member}
	witness := enter(f, s, asKey("all", "witness"))
	witness.subscribed(0, allEvents, anyCommand)
	f.Fuzz(func(t *testing.T, kind, pieces byte, b []byte) {
		l := clients[int(kind)%len(clients)]
		id, err := wiotp.ParseClientID(l.id)
		if err != nil {
			t.Fatal(err)
		}
		witness.t = t
		witness.SetDeadline(time.Now().Add(patience))
		c := enter(t, s, l)
		size := 1 + int(pieces)%64
		for rest := b; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if _, err := c.Write(rest[:min(size, len(rest))]); err != nil {
				break // it was hung up on
			}
		}
		for _, topic := range []string{kilnTopic, kilnReset, "iot-2/type/meter/id/M-1/evt/t/fmt/json", "iot-2/type/meter/id/M-1/cmd/t/fmt/json"} {
			witness.publish(topic, []byte("told"), 0, 0, false)
		}
		_ = c.Conn.(*net.TCPConn).CloseWrite() // an error shows below
		for {
			first, body, err := c.next()
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatal("got an open connection, want it ended")
			}
			if err != nil {
				break
			}
			if first&0xf0 == 0x30 {
				mayHear(t, id, parseEvent(first, body))
			}
		}
		for _, g := range witness.take() { // it was passed on before the connection ended
			if g.payload != "told" {
				mayHaveSaid(t, id, g)
			}
		}
		if st := s.Stats(); st.Connections != 1 || st.Kept > 0 {
			t.Fatalf("got %+v, want only the witness left", st)
		}
		if org, quick := s.Held(); org+quick > 0 {
			t.Fatalf("got %d and %d bytes held, want nothing left", org, quick)
		}
	})
}

// mayHear checks what one of the clients received.
func mayHear(t *testing.T, id wiotp.ClientID, g got) {
	t.Helper()
	ok := true
	switch {
	case strings.HasSuffix(g.topic, "/mon"):
		ok = id.Class != wiotp.Device && (id.Org == wiotp.Quickstart) == strings.Contains(g.payload, ":quickstart:")
	case id.Org == wiotp.Quickstart:
		ok = g.payload != "told"
	case id.Class == wiotp.Device:
		ok = strings.HasPrefix(g.topic, "iot-2/cmd/") && g.payload != "told"
	case id.Class == wiotp.Gateway:
		ok = strings.Contains(g.topic, "/cmd/") || g.topic == "iot-2/type/edge/id/G-1/notify"
	case id.Class == wiotp.ScalableApplication: // may all
	case id.App == "reads":
		ok = !strings.Contains(g.topic, "/cmd/")
	default: // a key for kilns
		ok = strings.HasPrefix(g.topic, "iot-2/type/kiln/")
	}
	if !ok || g.retain && !strings.HasSuffix(g.topic, "/mon") {
		t.Fatalf("%s: got %+v, which it may not hear", id, g)
	}
}

// mayHaveSaid checks what the organisation heard while one of the clients was connected.
func mayHaveSaid(t *testing.T, id wiotp.ClientID, g got) {
	t.Helper()
	topic, err := (wiotp.ClientID{Class: wiotp.Application, Org: "legacy", App: "x"}).ParseTopic(g.topic)
	ok := err == nil && !g.retain && len(g.payload) <= wiotp.MaxPayload
	device := fmt.Sprint(topic.Type, "/", topic.ID)
	switch {
	case id.Org == wiotp.Quickstart, id.App == "reads":
		ok = false
	case id.Class == wiotp.Device:
		ok = ok && device == "kiln/K-2" && topic.Kind == wiotp.Event
	case id.Class == wiotp.Gateway:
		ok = ok && topic.Kind == wiotp.Event
	case id.App == "fuzz" && id.Class == wiotp.Application: // a key for kilns
		ok = ok && topic.Type == "kiln"
	}
	for _, known := range []string{"kiln/K-1", "kiln/K-2", "meter/M-1", "edge/G-1"} {
		if device == known {
			if !ok {
				break
			}
			return
		}
	}
	t.Fatalf("%s: the organisation heard %+v, which it may not have said", id, g)
}

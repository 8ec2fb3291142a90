package localplatform_test

import (
	"fmt"
	"strings"
	"testing"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestP17RolesByTheMatrix(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) {
		cfg.Users = map[string]localplatform.User{}
		for i, name := range wiotp.RoleNames() {
			cfg.Users["a-legacy-"+name] = localplatform.User{Token: "t", Role: wiotp.Role(i)}
		}
	})
	for name, may := range map[string]string{
		"standard": "ErCR", "operations": "rC", "backend": "ErCR", "processor": "rC", "visualization": "r", "device": "ErR",
	} {
		for letter, do := range map[string]func(*raw){
			"E": func(c *raw) { c.publish(kilnTopic, []byte("x"), 1, 1, false) },
			"C": func(c *raw) { c.publish(kilnReset, []byte("x"), 1, 1, false) },
			"r": func(c *raw) { c.subscribe(1, 1, allEvents) },
			"R": func(c *raw) { c.subscribe(1, 1, anyCommand) },
		} {
			id := fmt.Sprintf("a:legacy:%s-%d", name, letter[0])
			c := enter(t, s, connect{id: id, user: "a-legacy-" + name, password: "t"})
			do(c)
			if strings.Contains(may, letter) {
				if first, _, err := c.next(); err != nil || first != 0x40 && first != 0x90 {
					t.Errorf("%s %s: got %x, %v, want it acknowledged", name, letter, first, err)
				}
				continue
			}
			c.wantClosed()
			s.log.wait(t, "rule=role", "code=276", "id="+id)
		}
		c := enter(t, s, connect{id: "a:legacy:" + name, user: "a-legacy-" + name, password: "t"})
		c.subscribed(0, "iot-2/app/none/mon", "iot-2/type/kiln/id/K-1/mon")
	}
}

func TestP17ResourceGroup(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) {
		cfg.Devices = append(cfg.Devices, localplatform.Device{Type: "meter", ID: "M-1"})
		cfg.Users = map[string]localplatform.User{
			"a-legacy-all":   {Token: "t"},
			"a-legacy-kilns": {Token: "t", Group: wiotp.Group{{Type: "kiln", ID: "*"}}},
		}
	})
	few := enter(t, s, connect{id: "a:legacy:few", user: "a-legacy-kilns", password: "t"})
	few.subscribed(1, allEvents, anyCommand)
	all := enter(t, s, connect{id: "a:legacy:all", user: "a-legacy-all", password: "t"})
	all.sent("iot-2/type/meter/id/M-1/evt/t/fmt/json", "meter")
	all.sent("iot-2/type/meter/id/M-1/cmd/t/fmt/json", "meter")
	all.sent(kilnTopic, "kiln")
	same(t, "a key for kilns", payloads(few.take()), []string{"kiln"})
	few.publish(kilnTopic, []byte("mine"), 0, 0, false)
	few.event()
	few.publish("iot-2/type/meter/id/M-1/evt/t/fmt/json", []byte("x"), 1, 1, false)
	few.wantClosed()
	s.log.wait(t, "rule=devices", "code=180", "id=a:legacy:few")
}

package localplatform_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

// A witness hears everything that the organisation says.
type witness struct {
	s *site
	c *raw
}

// guarded is a platform with keys of several kinds, and a witness.
func guarded(t *testing.T) (*site, *witness) {
	t.Helper()
	s := startFull(t, func(cfg *localplatform.Config) {
		cfg.Devices = append(cfg.Devices, localplatform.Device{Type: "meter", ID: "M-1"})
		cfg.Users = map[string]localplatform.User{
			"a-legacy-all":   {Token: "good-token-of-all"},
			"a-legacy-kilns": {Token: "good-token-of-kilns", Group: wiotp.Group{{Type: "kiln", ID: "*"}}},
		}
		for i, name := range wiotp.RoleNames() {
			cfg.Users["a-legacy-"+name] = localplatform.User{Token: wiotp.Token("good-token-of-" + name), Role: wiotp.Role(i)}
		}
	})
	w := &witness{s: s, c: enter(t, s, asKey("all", "witness"))}
	w.c.subscribed(1, allEvents, anyCommand, anyApp, anyDevice)
	return s, w
}

// asKey is a login with one of the keys of guarded.
func asKey(key, app string) connect {
	return connect{id: "a:legacy:" + app, user: "a-legacy-" + key, password: "good-token-of-" + key}
}

// heard is what the witness has heard of events and commands: what an intruder got through. Its own traffic goes on.
func (w *witness) heard(t *testing.T) (all []string) {
	t.Helper()
	w.c.publish(kilnTopic, []byte("mine"), 0, 0, false)
	for {
		g := w.c.event()
		if g.qos == 1 {
			w.c.send(puback(g.id))
		}
		switch {
		case g.payload == "mine":
			return all
		case strings.HasSuffix(g.topic, "/mon"): // status is told of everybody
		default:
			all = append(all, g.topic+" "+g.payload)
		}
	}
}

func TestNobodyGetsInWithoutGoodCredentials(t *testing.T) {
	s, w := guarded(t)
	const key, token = "a-legacy-all", "good-token-of-all"
	for name, c := range map[string]struct {
		l       connect
		connack byte // 0: closed without an answer
		code    int
	}{
		"nothing":                            {connect{id: "a:legacy:x"}, 5, 180},
		"no client id":                       {connect{user: key, password: token}, 5, 166},
		"key without token":                  {connect{id: "a:legacy:x", user: key}, 5, 180},
		"empty token":                        {connect{id: "a:legacy:x", user: key, flags: 0x40}, 5, 180},
		"empty key and token":                {connect{id: "a:legacy:x", flags: 0xc0}, 5, 180},
		"token without key":                  {connect{id: "a:legacy:x", password: token}, 0, 105},
		"wrong token":                        {connect{id: "a:legacy:x", user: key, password: "bad-token"}, 5, 180},
		"token of another key":               {connect{id: "a:legacy:x", user: key, password: "good-token-of-kilns"}, 5, 180},
		"beginning of the token":             {connect{id: "a:legacy:x", user: key, password: token[:len(token)-1]}, 5, 180},
		"token with a newline":               {connect{id: "a:legacy:x", user: key, password: token + "\n"}, 5, 180},
		"token with NUL":                     {connect{id: "a:legacy:x", user: key, password: token + "\x00"}, 5, 180},
		"token in capitals":                  {connect{id: "a:legacy:x", user: key, password: strings.ToUpper(token)}, 5, 180},
		"key and token exchanged":            {connect{id: "a:legacy:x", user: token, password: key}, 5, 180},
		"unknown key":                        {connect{id: "a:legacy:x", user: "a-legacy-nobody", password: token}, 5, 180},
		"key with NUL":                       {connect{id: "a:legacy:x", user: key + "\x00", password: token}, 5, 180},
		"key with a newline":                 {connect{id: "a:legacy:x", user: key + "\n", password: token}, 5, 180},
		"key in capitals":                    {connect{id: "a:legacy:x", user: "A-LEGACY-ALL", password: token}, 5, 180},
		"key of another organisation":        {connect{id: "a:legacy:x", user: "a-other1-all", password: token}, 5, 180},
		"id of another organisation":         {connect{id: "a:other1:x", user: key, password: token}, 5, 180},
		"organisation in capitals":           {connect{id: "a:LEGACY:x", user: key, password: token}, 5, 180},
		"id with NUL":                        {connect{id: "a:legacy:x\x00", user: key, password: token}, 2, 166},
		"id with a level":                    {connect{id: "a:legacy:x/y", user: key, password: token}, 2, 166},
		"id of a class that is not served":   {connect{id: "c:legacy:x", user: key, password: token}, 5, 166},
		"application with a device's token":  {connect{id: "a:legacy:x", user: wiotp.UseTokenAuth, password: kilnToken}, 5, 180},
		"group with a device's token":        {connect{id: "A:legacy:x", user: wiotp.UseTokenAuth, password: kilnToken, persistent: true}, 5, 180},
		"device with a key":                  {connect{id: theDevice.id, user: key, password: token}, 5, 180},
		"device with a key's token":          {connect{id: theDevice.id, user: wiotp.UseTokenAuth, password: token}, 5, 180},
		"device without anything":            {connect{id: theDevice.id}, 5, 180},
		"device with an empty token":         {connect{id: theDevice.id, user: wiotp.UseTokenAuth, flags: 0x40}, 5, 180},
		"device with a gateway's token":      {connect{id: theDevice.id, user: wiotp.UseTokenAuth, password: edgeToken}, 5, 180},
		"device with a newline in the token": {connect{id: theDevice.id, user: wiotp.UseTokenAuth, password: kilnToken + "\n"}, 5, 180},
		"device that has no token":           {connect{id: "d:legacy:kiln:K-1", user: wiotp.UseTokenAuth, flags: 0x40}, 5, 180},
		"device that has no token, with one": {connect{id: "d:legacy:kiln:K-1", user: wiotp.UseTokenAuth, password: kilnToken}, 5, 180},
		"device that is not registered":      {connect{id: "d:legacy:kiln:K-9", user: wiotp.UseTokenAuth, password: kilnToken}, 5, 180},
		"device of another type":             {connect{id: "d:legacy:meter:K-2", user: wiotp.UseTokenAuth, password: kilnToken}, 5, 180},
		"device in capitals":                 {connect{id: "d:legacy:KILN:K-2", user: wiotp.UseTokenAuth, password: kilnToken}, 5, 180},
		"device of another organisation":     {connect{id: "d:other1:kiln:K-2", user: wiotp.UseTokenAuth, password: kilnToken}, 5, 180},
		"device as a gateway":                {connect{id: "g:legacy:kiln:K-2", user: wiotp.UseTokenAuth, password: kilnToken}, 5, 180},
		"gateway as a device":                {connect{id: "d:legacy:edge:G-1", user: wiotp.UseTokenAuth, password: edgeToken}, 5, 180},
		"gateway with a key":                 {connect{id: theGateway.id, user: key, password: token}, 5, 180},
		"will that the role may not send": {connect{id: "a:legacy:x", user: "a-legacy-visualization", password: "good-token-of-visualization",
			willTopic: kilnTopic, will: "gone"}, 5, 276},
		"will outside the key's devices": {connect{id: "a:legacy:x", user: "a-legacy-kilns", password: "good-token-of-kilns",
			willTopic: "iot-2/type/meter/id/M-1/evt/t/fmt/json", will: "gone"}, 5, 180},
		"will as another's status": {connect{id: "a:legacy:x", user: key, password: token, willTopic: "iot-2/app/witness/mon", will: "gone"}, 5, 276},
	} {
		t.Run(name, func(t *testing.T) {
			s.Forgive() // that guessing is slow is another test's
			s.ForgetRefusals()
			s.log.clear()
			d := dial(t, s)
			d.send(c.l.bytes())
			if c.connack != 0 {
				d.want(0x20, 2, 0, c.connack)
			}
			d.wantClosed()
			s.log.wait(t, fmt.Sprint("code=", c.code))
			for _, r := range s.log.find() {
				if text := fmt.Sprint(r); strings.Contains(text, "good-token") || strings.Contains(text, kilnToken) || strings.Contains(text, edgeToken) {
					t.Errorf("got a token in the log: %s", text)
				}
			}
			if got := w.heard(t); len(got) > 0 {
				t.Errorf("got %q through", got)
			}
		})
	}
	if got := s.Stats(); got.Logins != 1 {
		t.Errorf("got %d logins, want that of the witness alone", got.Logins)
	}
}

// Whoever is inside does no more than its rights.
func TestNobodyDoesMoreThanItMay(t *testing.T) {
	s, w := guarded(t)
	publish := func(topic string) func(*raw) {
		return func(c *raw) { c.publish(topic, []byte("intruder"), 1, 1, true) }
	}
	subscribe := func(filter string) func(*raw) { return func(c *raw) { c.subscribe(1, 1, filter) } }
	const meterEvent, meterCommand = "iot-2/type/meter/id/M-1/evt/t/fmt/json", "iot-2/type/meter/id/M-1/cmd/t/fmt/json"
	quick := connect{id: "a:quickstart:app"}
	type attempt struct {
		l    connect
		do   func(*raw)
		code int
	}
	attempts := map[string]attempt{
		"role: event":                        {asKey("visualization", "x"), publish(kilnTopic), 276},
		"role: command":                      {asKey("device", "x"), publish(kilnReset), 276},
		"role: commands heard":               {asKey("operations", "x"), subscribe(anyCommand), 276},
		"group: event":                       {asKey("kilns", "x"), publish(meterEvent), 180},
		"group: command":                     {asKey("kilns", "x"), publish(meterCommand), 180},
		"not registered":                     {asKey("all", "x"), publish("iot-2/type/kiln/id/K-9/evt/t/fmt/json"), 180},
		"device: another's event":            {theDevice, publish(kilnTopic), 276},
		"device: its own command":            {theDevice, publish("iot-2/cmd/t/fmt/json"), 276},
		"device: another's command":          {theDevice, publish(kilnReset), 276},
		"device: events heard":               {theDevice, subscribe(allEvents), 276},
		"device: another's commands":         {theDevice, subscribe("iot-2/type/kiln/id/K-1/cmd/+/fmt/+"), 276},
		"device: another's notices":          {theDevice, subscribe("iot-2/type/edge/id/G-1/notify"), 276},
		"device: status of all":              {theDevice, subscribe(anyDevice), 276},
		"device: status of applications":     {theDevice, subscribe(anyApp), 276},
		"device: management of another":      {theDevice, publish("iotdm-1/type/kiln/id/K-1/mgmt/manage"), 276},
		"quickstart: a command":              {quick, publish0(kilnReset), 276},
		"quickstart: commands heard":         {quick, subscribe("iot-2/type/kiln/id/K-1/cmd/+/fmt/+"), 276},
		"quickstart: everything":             {quick, subscribe(allEvents), 276},
		"quickstart: status of applications": {quick, subscribe(anyApp), 276},
		"quickstart: with the organisation":  {quick, subscribe("iot-2/legacy/type/kiln/id/K-1/evt/+/fmt/+"), 276},
	}
	for _, topic := range []string{"iot-2/app/witness/mon", "iot-2/type/kiln/id/K-2/mon", "iot-2/type/edge/id/G-1/notify", "$SYS/x", "$share/g/" + kilnTopic,
		"iotdevice-1/response", "iotdm-1/x", "iot-2/legacy/type/kiln/id/K-1/evt/t/fmt/json", "", "/", "\x00", kilnTopic + "/x", kilnTopic + "\x00"} {
		attempts["publish "+topic] = attempt{asKey("all", "x"), publish(topic), 276}
	}
	for _, filter := range []string{"#", "+", "+/+", "iot-2/#", "$SYS/#", "$SYS/broker/clients/connected", "$share/g/" + allEvents, "$SharedSubscription/g/" + allEvents,
		"$queue/" + allEvents, "/#", "", "\x00", "iot-2/legacy/type/+/id/+/evt/+/fmt/+", "iot-2/type/edge/id/G-1/notify", "iot-2/type/+/id/+/notify", "iot-2/notify",
		"iot-2/+/+/mon", "iotdm-1/#", "iot-2/evt/+/fmt/+"} {
		attempts["subscribe "+filter] = attempt{asKey("all", "x"), subscribe(filter), 276}
		if filter != "iotdm-1/#" && filter != "iot-2/notify" {
			attempts["device: subscribe "+filter] = attempt{theDevice, subscribe(filter), 276}
		}
	}
	for name, a := range attempts {
		t.Run(name, func(t *testing.T) {
			s.ForgetRefusals()
			s.log.clear()
			c := enter(t, s, a.l)
			a.do(c)
			c.wantClosed()
			line := s.log.wait(t, "msg=connection closed", "id="+a.l.id, fmt.Sprint("code=", a.code))
			if line["err"] == "" {
				t.Errorf("got %v, want a reason", line)
			}
			if got := w.heard(t); len(got) > 0 {
				t.Errorf("got %q through", got)
			}
		})
	}

	t.Run("gateway", func(t *testing.T) { // which is told, not hung up on
		g := enter(t, s, theGateway)
		for _, filter := range []string{"iot-2/type/kiln/id/K-2/notify", "iot-2/type/+/id/+/notify", "#", "$SYS/#", "$share/g/" + anyCommand, allEvents, anyApp} {
			g.subscribe(1, 1, filter)
			g.want(0x90, 3, 0, 1, 1)
		}
		for _, topic := range []string{kilnReset, "iot-2/app/witness/mon", "iot-2/type/kiln/id/K-2/mon", "iot-2/type/kiln/id/K-2/notify", "iot-2/type/kiln/id/K-9/evt/t/fmt/json", "$SYS/x"} {
			g.sent(topic, "intruder")
		}
		if got := w.heard(t); len(got) > 0 {
			t.Errorf("got %q through", got)
		}
		if got := g.take(); len(got) > 0 {
			t.Errorf("got %+v, want it to hear nothing", got)
		}
	})
}

func publish0(topic string) func(*raw) {
	return func(c *raw) { c.publish(topic, []byte("intruder"), 0, 0, true) }
}

// Who may be inside hears what is meant for it, and nothing else.
func TestNobodyHearsMoreThanItMay(t *testing.T) {
	s, _ := guarded(t)
	meters := enter(t, s, asKey("kilns", "kilns"))
	meters.subscribed(1, allEvents, anyCommand, anyDevice)
	viewer := enter(t, s, asKey("visualization", "viewer"))
	viewer.subscribed(1, allEvents)
	device := enter(t, s, theDevice)
	device.subscribed(1, "iot-2/cmd/+/fmt/+", "iot-2/notify")
	quick := enter(t, s, connect{id: "a:quickstart:app"})
	quick.subscribe(9, 0, "iot-2/type/meter/id/+/evt/+/fmt/+", "iot-2/type/kiln/id/+/evt/+/fmt/+", "iot-2/type/kiln/id/+/mon", "iot-2/app/teller/mon")
	quick.want(0x90, 6, 0, 9, 0, 0, 0, 0)
	for _, c := range []*raw{meters, viewer, device, quick} {
		c.take() // status of what is connected
	}

	teller := asKey("all", "teller")
	teller.willTopic, teller.will = "iot-2/type/meter/id/M-1/evt/gone/fmt/json", "will"
	c := enter(t, s, teller)
	for _, d := range []string{"kiln/id/K-1", "kiln/id/K-2", "meter/id/M-1"} {
		c.sent("iot-2/type/"+d+"/evt/t/fmt/json", "e"+d[len(d)-3:])
		c.sent("iot-2/type/"+d+"/cmd/t/fmt/json", "c"+d[len(d)-3:])
	}
	c.drop(s, teller.id)
	gateway := enter(t, s, theGateway)
	gateway.sent("bad", "x") // its notice is for itself
	gateway.leave(s, theGateway.id)
	enter(t, s, connect{id: "d:quickstart:kiln:K-1", willTopic: "iot-2/evt/gone/fmt/json", will: "quick"}).drop(s, "d:quickstart:kiln:K-1")

	text := func(c *raw) (all []string) {
		for _, g := range c.take() {
			if strings.HasSuffix(g.topic, "/mon") {
				all = append(all, fmt.Sprint(status(t, g)["ClientID"]))
				continue
			}
			all = append(all, g.payload)
		}
		return all
	}
	same(t, "a key for kilns", text(meters), []string{"eK-1", "cK-1", "eK-2", "cK-2"})
	same(t, "a role that reads events", text(viewer), []string{"eK-1", "eK-2", "eM-1", "will"})
	same(t, "a device", text(device), []string{"cK-2"})
	same(t, "quickstart", text(quick), []string{"d:quickstart:kiln:K-1", "quick", "d:quickstart:kiln:K-1"})
}

func TestNobodyGetsInOverHTTPWithoutRights(t *testing.T) {
	s, w := guarded(t)
	const key, token = "a-legacy-all", "good-token-of-all"
	const event = "application/types/kiln/devices/K-1/events/t"
	const command = "application/types/kiln/devices/K-1/commands/t"
	const own = "device/types/kiln/devices/K-2/events/t"
	reads := []string{"device/types", "device/types/kiln", "device/types/kiln/devices", "device/types/kiln/devices/K-1", "bulk/devices",
		"device/types/kiln/devices/K-1/location", "device/types/kiln/devices/K-1/events", "logs/connection?typeId=kiln&deviceId=K-1"}
	type attempt struct {
		user, pass, method, path string
		status                   int
	}
	var attempts []attempt
	for _, l := range [][2]string{{"", ""}, {key, ""}, {"", token}, {key, "bad-token"}, {key, token + "\n"}, {key, token + "\x00"}, {key + "\x00", token},
		{key, "good-token-of-kilns"}, {"a-other1-all", token}, {"a/other1/all", token}, {"A-LEGACY-ALL", token}, {wiotp.UseTokenAuth, kilnToken},
		{wiotp.UseTokenAuth, token}, {"g/legacy/edge/G-1", edgeToken}, {token, key}} {
		for _, path := range reads {
			attempts = append(attempts, attempt{l[0], l[1], "GET", path, 401})
		}
		attempts = append(attempts, attempt{l[0], l[1], "POST", "device/types", 401}, attempt{l[0], l[1], "DELETE", "device/types/kiln/devices/K-1", 401},
			attempt{l[0], l[1], "POST", event, 403}, attempt{l[0], l[1], "POST", command, 403})
	}
	for _, l := range [][2]string{{"", ""}, {wiotp.UseTokenAuth, ""}, {wiotp.UseTokenAuth, edgeToken}, {wiotp.UseTokenAuth, token}, {wiotp.UseTokenAuth, kilnToken + "\n"},
		{key, token}, {"g/legacy/edge/G-1", kilnToken}, {"g/other1/edge/G-1", edgeToken}, {"g/legacy/kiln/K-2", kilnToken}, {"g-legacy-edge-G-1", ""}, {"d/legacy/kiln/K-2", kilnToken}} {
		attempts = append(attempts, attempt{l[0], l[1], "POST", own, 403})
	}
	attempts = append(attempts,
		attempt{wiotp.UseTokenAuth, kilnToken, "POST", "device/types/kiln/devices/K-1/events/t", 403}, // another device's token
		attempt{"a-legacy-visualization", "good-token-of-visualization", "POST", event, 403},
		attempt{"a-legacy-device", "good-token-of-device", "POST", command, 403},
		attempt{"a-legacy-device", "good-token-of-device", "GET", "device/types/kiln/devices", 403},
		attempt{"a-legacy-visualization", "good-token-of-visualization", "DELETE", "device/types/kiln/devices/K-1", 403},
		attempt{"a-legacy-kilns", "good-token-of-kilns", "POST", "application/types/meter/devices/M-1/events/t", 403},
		attempt{"a-legacy-kilns", "good-token-of-kilns", "GET", "device/types/meter/devices/M-1", 403},
		attempt{"a-legacy-kilns", "good-token-of-kilns", "DELETE", "device/types/meter/devices/M-1", 403},
		attempt{"a-legacy-kilns", "good-token-of-kilns", "GET", "logs/connection?typeId=meter&deviceId=M-1", 403},
	)
	for _, a := range attempts {
		s.Forgive()
		status, _, body := restOf(t, s).as(a.user, a.pass).raw(a.method, a.path, "{}")
		if status != a.status {
			t.Errorf("%s %s as %q: got %d %s, want %d", a.method, a.path, a.user, status, body, a.status)
		}
		if strings.Contains(string(body), "good-token") || strings.Contains(string(body), kilnToken) || strings.Contains(string(body), "K-1\"") {
			t.Errorf("%s %s as %q: got %s, want nothing told", a.method, a.path, a.user, body)
		}
	}
	if got := w.heard(t); len(got) > 0 {
		t.Errorf("got %q through", got)
	}
	s.Forgive()
	all := restOf(t, s).as(key, token).want(200, "GET", "bulk/devices", nil)
	var ids []string
	for _, d := range at(all, "results").([]any) {
		ids = append(ids, fmt.Sprint(at(d, "deviceId")))
	}
	slices.Sort(ids)
	same(t, "registry", ids, []string{"G-1", "K-1", "K-2", "M-1"})
}

package localplatform_test

import (
	"encoding/json"
	"regexp"
	"testing"
)

// status reads a status message.
func status(t testing.TB, g got) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(g.payload), &m); err != nil || g.qos != 0 {
		t.Fatalf("got %+v, %v, want status at QoS 0", g, err)
	}
	return m
}

// watcher subscribes to all status but that of its own application, which it takes away.
func watcher(t testing.TB, s *site) *raw {
	t.Helper()
	c := login(t, s, "watcher")
	c.subscribed(1, anyDevice, anyApp)
	for _, g := range c.take() {
		if m := status(t, g); !g.retain || m["Action"] == "FailedConnect" {
			t.Fatalf("got %+v at once, want what is kept", g)
		}
	}
	return c
}

const when = `"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`

func TestP30FieldsAndTheirOrder(t *testing.T) {
	s := startFull(t, nil)
	w := watcher(t, s)
	match := func(what, pattern string) {
		t.Helper()
		if g := w.event(); !regexp.MustCompile("^"+pattern+"$").MatchString(g.payload) || g.retain {
			t.Errorf("%s: got %s, retain %v, want %s", what, g.payload, g.retain, pattern)
		}
	}
	key, _ := s.Key()
	app := login(t, s, "app")
	match("Connect", `{"Action":"Connect","Time":`+when+`,"ClientAddr":"127.0.0.1","ClientID":"a:legacy:app","Port":\d+,"Secure":false,"Protocol":"mqtt4","User":"`+key+`","Durable":false}`)
	app.sent(kilnTopic, "21.5")
	app.leave(s, "a:legacy:app")
	match("Disconnect", `{"Action":"Disconnect","Time":`+when+`,"ClientAddr":"127.0.0.1","ClientID":"a:legacy:app","Port":\d+,"Secure":false,"Protocol":"mqtt4","User":"`+key+`","ConnectTime":`+when+`,"ReadBytes":\d+,"ReadMsg":1,"WriteBytes":\d+,"WriteMsg":0}`)
	l := theDevice
	l.persistent, l.name, l.level = true, "MQIsdp", 3
	device := enter(t, s, l)
	match("device", `{"Action":"Connect","Time":`+when+`,"ClientAddr":"127.0.0.1","ClientID":"d:legacy:kiln:K-2","Port":\d+,"Secure":false,"Protocol":"mqtt3","Durable":true,"NewSession":true}`)
	device.publish("bad", nil, 0, 0, false)
	match("closed", `{"Action":"Disconnect","Time":`+when+`,"ClientAddr":"127.0.0.1","ClientID":"d:legacy:kiln:K-2","Port":\d+,"Secure":false,"Protocol":"mqtt3","ConnectTime":`+when+`,"CloseCode":276,"Reason":"topic not valid","ReadBytes":\d+,"ReadMsg":1,"WriteBytes":\d+,"WriteMsg":0}`)
	resume(t, s, l)
	match("again", `{"Action":"Connect",.*"Durable":true}`)
}

// kept is what a new subscriber is told.
func keptStatus(t *testing.T, s *site) (all map[string]map[string]any) {
	t.Helper()
	c := login(t, s, "late")
	defer c.leave(s, "a:legacy:late")
	c.subscribed(0, anyDevice, anyApp)
	all = map[string]map[string]any{}
	for _, g := range c.take() {
		if !g.retain {
			t.Errorf("got %+v, want it marked as kept", g)
		}
		all[g.topic] = status(t, g)
	}
	delete(all, "iot-2/app/late/mon")
	return all
}

func TestP30P32LifecycleOfDevices(t *testing.T) {
	s := startFull(t, nil)
	const topic = "iot-2/type/kiln/id/K-2/mon"
	if got := keptStatus(t, s); len(got) != 0 {
		t.Errorf("got %v, want nothing of a device that never came", got)
	}
	device := enter(t, s, theDevice)
	if got := keptStatus(t, s)[topic]; got["Action"] != "Connect" {
		t.Errorf("got %v, want Connect kept", got)
	}
	second := enter(t, s, theDevice) // 288
	device.wantClosed()
	if got := keptStatus(t, s)[topic]; got["Action"] != "Connect" {
		t.Errorf("got %v, want the Connect of the newer connection kept", got)
	}
	second.drop(s, theDevice.id)
	if got := keptStatus(t, s)[topic]; got["Action"] != "Disconnect" || got["CloseCode"] != 91.0 {
		t.Errorf("got %v, want Disconnect kept", got)
	}
	// A refused login changes nothing that is kept.
	bad := theDevice
	bad.password = "wrong"
	refused(t, s, bad, 5)
	if got := keptStatus(t, s)[topic]; got["Action"] != "Disconnect" {
		t.Errorf("got %v, want Disconnect kept", got)
	}
}

func TestP30P32LifecycleOfApplications(t *testing.T) {
	s := startFull(t, nil)
	const topic = "iot-2/app/app/mon"
	app := login(t, s, "app")
	if got := keptStatus(t, s)[topic]; got["Action"] != "Connect" {
		t.Errorf("got %v, want Connect kept", got)
	}
	member := enter(t, s, kept(s, "A:legacy:app"))
	app.leave(s, "a:legacy:app")
	if got := keptStatus(t, s)[topic]; got["ClientID"] != "A:legacy:app" {
		t.Errorf("got %v, want the Connect of the one that is left", got)
	}
	member.leave(s, "A:legacy:app")
	if got := keptStatus(t, s); len(got) != 0 {
		t.Errorf("got %v, want nothing of an application that has gone", got)
	}
}

func TestP31TakeOverIsADisconnectThatIsNotKept(t *testing.T) {
	s := startFull(t, nil)
	w := watcher(t, s)
	for id, l := range map[string]connect{"a:legacy:app": own(s, "a:legacy:app"), theDevice.id: theDevice} {
		first := enter(t, s, l)
		enter(t, s, l)
		first.wantClosed()
		for i, want := range []string{"Connect", "Disconnect", "Connect"} {
			m := status(t, w.event())
			if m["Action"] != want || m["ClientID"] != id || i == 1 && m["CloseCode"] != 288.0 {
				t.Errorf("got %v, want %s", m, want)
			}
		}
	}
	if got := keptStatus(t, s); got["iot-2/app/app/mon"]["Action"] != "Connect" || got["iot-2/type/kiln/id/K-2/mon"]["Action"] != "Connect" {
		t.Errorf("got %v, want both Connects kept", got)
	}
}

func TestP33RefusedLoginIsFailedConnect(t *testing.T) {
	s := startFull(t, nil)
	w := watcher(t, s)
	bad := own(s, "a:legacy:app")
	bad.password = "wrong"
	refused(t, s, bad, 5)
	if m := status(t, w.event()); m["Action"] != "FailedConnect" || m["ClientID"] != "a:legacy:app" || m["CloseCode"] != 180.0 || m["User"] != bad.user {
		t.Errorf("got %v, want FailedConnect", m)
	}
	stranger := theDevice
	stranger.user, stranger.password = "MP$08VKz!8rXwnR-Q*", "x" // a token in the wrong field
	refused(t, s, stranger, 5)
	if m := status(t, w.event()); m["Action"] != "FailedConnect" || m["User"] != nil {
		t.Errorf("got %v, want FailedConnect without the user name", m)
	}
	refused(t, s, connect{id: "a:other1:app"}, 5) // no organisation of ours, nobody to tell
	dial(t, s).Close()                            // P51: no login, no status
	if all := w.take(); len(all) != 0 {
		t.Errorf("got %v, want nothing more", payloads(all))
	}
	if got := keptStatus(t, s); len(got) != 1 { // the watcher itself
		t.Errorf("got %v kept, want no FailedConnect", got)
	}
}

func TestP35DeviceWithoutAConnectionHasNoStatus(t *testing.T) {
	s := startFull(t, nil)
	w := watcher(t, s)
	g := enter(t, s, theGateway)
	w.event() // the gateway's own
	g.sent(kilnTopic, "x")
	pub := login(t, s, "pub")
	w.event()
	pub.sent(kilnTopic, "x")
	if all := w.take(); len(all) != 0 {
		t.Errorf("got %v, want nothing", payloads(all))
	}
}

func TestP30ADeviceSeesItsOwnStatus(t *testing.T) {
	s := startFull(t, nil)
	c := enter(t, s, theDevice)
	c.subscribed(0, "iot-2/mon", "iot-2/notify")
	if g := c.event(); g.topic != "iot-2/mon" || status(t, g)["Action"] != "Connect" {
		t.Errorf("got %+v, want its own Connect in the short form", g)
	}
	login(t, s, "app")
	enter(t, s, theGateway)
	if all := c.take(); len(all) != 0 {
		t.Errorf("got %v, want nothing of others", payloads(all))
	}
}

func TestP34RestartTellsTheEndOfConnections(t *testing.T) {
	dir := t.TempDir()
	s := startFull(t, stored(dir))
	enter(t, s, theDevice)
	login(t, s, "app")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, stored(dir))
	got := keptStatus(t, s)
	if m := got["iot-2/type/kiln/id/K-2/mon"]; m["Action"] != "Disconnect" || m["CloseCode"] != 93.0 || len(got) != 1 {
		t.Errorf("got %v, want the Disconnect of the stop", got)
	}
}

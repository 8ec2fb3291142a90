package localplatform_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// client connects paho as an application.
func client(t testing.TB, s *site, app string) paho.Client {
	t.Helper()
	key, token := s.Key()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + s.Addr().String()).SetClientID("a:legacy:" + app).
		SetUsername(key).SetPassword(token.Reveal()).SetProtocolVersion(4).SetAutoReconnect(false).SetOrderMatters(true))
	done(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func done(t testing.TB, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("got %v, want it done", token.Error())
	}
}

func TestPahoAtEachQoS(t *testing.T) {
	s := start(t, nil)
	sub, pub := client(t, s, "sub"), client(t, s, "pub")
	const n = 500
	for qos := range byte(3) {
		arrived := make(chan string, n)
		done(t, sub.Subscribe(allEvents, qos, func(_ paho.Client, m paho.Message) { arrived <- string(m.Payload()) }))
		var last paho.Token
		for i := range n {
			last = pub.Publish(kilnTopic, qos, true, fmt.Sprint(i))
		}
		done(t, last)
		for i := range n {
			select {
			case got := <-arrived:
				if got != fmt.Sprint(i) {
					t.Fatalf("QoS %d: got %s, want %d", qos, got, i)
				}
			case <-time.After(patience):
				t.Fatalf("QoS %d: got %d events, want %d", qos, i, n)
			}
		}
	}
	if got := s.Stats(); got.Events != 3*n || got.Dropped != 0 {
		t.Errorf("got %+v, want %d events", got, 3*n)
	}
}

func TestPahoResumesAKeptSession(t *testing.T) {
	s := start(t, nil)
	l := own(s, "a:legacy:kept")
	l.persistent = true
	c := dial(t, s)
	c.send(l.bytes())
	c.want(0x20, 2, 0, 0)
	c.subscribe(1, 1, allEvents)
	c.want(0x90, 3, 0, 1, 1)
	c.Close()
	s.log.wait(t, "msg=client disconnected", "id=a:legacy:kept")
	pub := client(t, s, "pub")
	done(t, pub.Publish(kilnTopic, 1, false, "while away"))
	c = dial(t, s)
	c.send(l.bytes())
	c.want(0x20, 2, 1, 0)
	if g := c.event(); g.payload != "while away" {
		t.Errorf("got %+v, want the event kept", g)
	}
}

// tool finds a mosquitto client.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("mosquitto is not installed")
	}
	t.Skip("left out: mosquitto is not installed")
	return ""
}

// mosquitto builds a call of one of its clients.
func mosquitto(t *testing.T, s *site, name, app string, args ...string) *exec.Cmd {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	key, token := s.Key()
	args = append([]string{"-h", host, "-p", port, "-V", "mqttv311", "-i", "a:legacy:" + app, "-u", key, "-P", token.Reveal()}, args...)
	return exec.CommandContext(t.Context(), tool(t, name), args...)
}

func TestMosquittoClients(t *testing.T) {
	s := start(t, nil)
	sub := mosquitto(t, s, "mosquitto_sub", "sub", "-F", "%t %p %r", "-q", "1", "-C", "3", "-W", "20", "-t", allEvents)
	var out bytes.Buffer
	sub.Stdout = &out
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, "msg=client subscribed", "id=a:legacy:sub")
	for _, retain := range []bool{false, true, true} {
		pub := mosquitto(t, s, "mosquitto_pub", "pub", "-q", "1", "-t", kilnTopic, "-m", "21.5")
		if retain {
			pub.Args = append(pub.Args, "-r")
		}
		if text, err := pub.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	if err := sub.Wait(); err != nil {
		t.Error(err)
	}
	if got, want := out.String(), strings.Repeat(kilnTopic+" 21.5 0\n", 3); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMosquittoIsRefused(t *testing.T) {
	t.Parallel() // the client waits
	s := start(t, nil)
	bad := mosquitto(t, s, "mosquitto_pub", "pub", "-q", "1", "-t", kilnTopic, "-m", "x", "-P", "wrong")
	if text, err := bad.CombinedOutput(); err == nil || !bytes.Contains(text, []byte("not authorised")) {
		t.Errorf("got %v: %s, want not authorised", err, text)
	}
	sub := mosquitto(t, s, "mosquitto_sub", "sub", "-E", "-W", "1", "-t", "iot-2/#")
	if text, err := sub.CombinedOutput(); bytes.Contains(text, []byte("granted")) {
		t.Errorf("got %v: %s, want no SUBACK", err, text)
	}
	s.log.wait(t, "rule=filter", "code=276", "id=a:legacy:sub")
	five := mosquitto(t, s, "mosquitto_pub", "five", "-V", "mqttv5", "-t", kilnTopic, "-m", "x")
	if text, err := five.CombinedOutput(); err == nil || !bytes.Contains(bytes.ToLower(text), []byte("unsupported")) {
		t.Errorf("got %v: %s, want unsupported protocol version", err, text)
	}
}

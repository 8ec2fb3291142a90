package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// A promise holds what was acknowledged on one topic against what its durable subscribers got: all of it, in the order
// of its publication, byte for byte.
type promise struct {
	topic string
	seed  uint64
	mu    sync.Mutex
	acked []bool // by number
}

// payload is the one and only content of number n.
func (p *promise) payload(n int) []byte {
	r := rand.New(rand.NewPCG(p.seed, uint64(n)))
	b := fmt.Appendf(nil, "%d ", n)
	for range r.IntN(1500) {
		b = append(b, byte(r.Uint32()))
	}
	return b
}

func (p *promise) number() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked = append(p.acked, false)
	return len(p.acked) - 1
}

func (p *promise) keep(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked[n] = true
}

// pour publishes new numbers with a window until the connection ends, and returns how many were acknowledged.
func (p *promise) pour(client mqtt.Client, acked func()) {
	window := make(chan struct{}, 50)
	var waiting sync.WaitGroup
	for client.IsConnectionOpen() {
		window <- struct{}{}
		n := p.number()
		token := client.Publish(p.topic, 1, false, p.payload(n))
		waiting.Go(func() {
			if token.Wait(); token.Error() == nil {
				p.keep(n)
				acked()
			}
			<-window
		})
	}
	waiting.Wait()
}

// A durable is a subscriber that subscribes once, in its life and in that of the platform, and is away at times.
type durable struct {
	options func() *mqtt.ClientOptions
	topics  map[string]*promise // by the topic as it comes here
	client  mqtt.Client

	mu    sync.Mutex
	seen  map[string]map[int]bool
	last  map[string]int // first delivery
	wrong []string
	again int
}

func (d *durable) take(_ mqtt.Client, m mqtt.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.topics[m.Topic()]
	if p == nil {
		d.wrong = append(d.wrong, "came on "+m.Topic())
		return
	}
	var n int
	if _, err := fmt.Sscan(string(bytes.SplitN(m.Payload(), []byte(" "), 2)[0]), &n); err != nil || !bytes.Equal(m.Payload(), p.payload(n)) {
		d.wrong = append(d.wrong, fmt.Sprintf("changed on %s: %.40q", m.Topic(), m.Payload()))
		return
	}
	if d.seen[m.Topic()] == nil {
		d.seen[m.Topic()], d.last[m.Topic()] = map[int]bool{}, -1
	}
	if d.seen[m.Topic()][n] {
		d.again++
		return
	}
	if d.seen[m.Topic()][n] = true; n < d.last[m.Topic()] {
		d.wrong = append(d.wrong, fmt.Sprintf("%d came after %d on %s", n, d.last[m.Topic()], m.Topic()))
	}
	d.last[m.Topic()] = n
}

func (d *durable) connect(t *testing.T) {
	t.Helper()
	d.client = mqtt.NewClient(d.options().SetDefaultPublishHandler(d.take))
	wait(t, d.client.Connect(), "connect")
}

// missing counts what was acknowledged and has not come.
func (d *durable) missing() (missing, acked int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for topic, p := range d.topics {
		p.mu.Lock()
		for n, ok := range p.acked {
			if ok {
				if acked++; !d.seen[topic][n] {
					missing++
				}
			}
		}
		p.mu.Unlock()
	}
	return missing, acked
}

// rest calls the registry and wants a status.
func (p *embedded) rest(method, path, body string, want int) string {
	p.t.Helper()
	req, err := http.NewRequest(method, "http://"+p.addr+"/api/v0002/"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.SetBasicAuth(p.user, p.token)
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		p.t.Fatalf("%s %s: got %s %s, want %d", method, path, res.Status, text, want)
	}
	return string(text)
}

const fanToken = "fan-token-1"

// TestPlatformKilledAtAnyMomentKeepsItsPromises kills the platform under traffic. What a publisher had acknowledged
// reaches every durable subscription: of an application, of a scalable one, and a device's commands; the registry
// and what is known of devices outlast it too.
func TestPlatformKilledAtAnyMomentKeepsItsPromises(t *testing.T) {
	p := startEmbedded(t, "")
	p.rest("POST", "device/types", `{"id":"fan"}`, 201)
	fan := func(id string) {
		p.rest("POST", "device/types/fan/devices", fmt.Sprintf(`{"deviceId":%q,"authToken":%q}`, id, fanToken), 201)
	}
	fan("F-1")
	fan("F-2")
	event := func(n uint64) *promise {
		return &promise{topic: fmt.Sprintf("iot-2/type/fan/id/F-1/evt/e%d/fmt/bin", n), seed: n}
	}
	one, two := event(1), event(2)
	order := &promise{topic: "iot-2/type/fan/id/F-1/cmd/turn/fmt/bin", seed: 3}
	asDevice := func(id string, clean bool) *mqtt.ClientOptions {
		return p.options("d:legacy:fan:"+id, clean).SetUsername("use-token-auth").SetPassword(fanToken)
	}
	events := map[string]*promise{one.topic: one, two.topic: two}
	subscribers := map[string]*durable{
		"application":      {options: func() *mqtt.ClientOptions { return p.options("a:legacy:back", false) }, topics: events},
		"scalable, alone":  {options: func() *mqtt.ClientOptions { return p.options("A:legacy:group:1", false) }, topics: events},
		"device, commands": {options: func() *mqtt.ClientOptions { return asDevice("F-1", false) }, topics: map[string]*promise{"iot-2/cmd/turn/fmt/bin": order}},
	}
	for name, d := range subscribers {
		filter := "iot-2/type/+/id/+/evt/+/fmt/+"
		if name == "device, commands" {
			filter = "iot-2/cmd/+/fmt/+"
		}
		d.seen, d.last = map[string]map[int]bool{}, map[string]int{}
		d.connect(t)
		wait(t, d.client.Subscribe(filter, 1, nil), "subscribe")
		defer func() { d.client.Disconnect(50) }()
	}
	kills := proof(3, 20, 500)
	for k := range kills {
		away := k%4 == 1 // what comes is kept meanwhile
		if away {
			for _, d := range subscribers {
				d.client.Disconnect(50)
			}
		}
		second := mqtt.NewClient(asDevice("F-2", true).SetAutoReconnect(false)) // its Disconnect is the platform's to tell
		wait(t, second.Connect(), "connect a device")
		progress := make(chan struct{}, 1<<20)
		var pouring sync.WaitGroup
		var publishers []mqtt.Client
		for i, topic := range []*promise{one, two, order} {
			client := mqtt.NewClient(p.options(fmt.Sprint("a:legacy:pub", i), true).SetAutoReconnect(false).SetWriteTimeout(2 * time.Second)) // paho waits so long as it loses a connection
			wait(t, client.Connect(), "connect a publisher")
			publishers = append(publishers, client)
			pouring.Go(func() { topic.pour(client, func() { progress <- struct{}{} }) })
		}
		for range 100 + rand.IntN(400) {
			select {
			case <-progress:
			case <-time.After(20 * time.Second):
				t.Fatal("nothing was acknowledged for 20 s")
			}
		}
		<-time.After(rand.N(20 * time.Millisecond)) // the moment of the kill is the test
		p.kill()
		pouring.Wait()
		p.start()
		p.wasDisconnected("F-2")
		p.rest("GET", "device/types/fan/devices/F-1", "", 200)
		if away {
			for _, d := range subscribers {
				d.connect(t)
			}
		}
		for _, c := range append(publishers, second) {
			c.Disconnect(0)
		}
	}
	for name, d := range subscribers {
		waitFor(t, 60*time.Second, "end of what "+name+" is to get", func() bool { missing, _ := d.missing(); return missing == 0 || p.stats().Waiting == 0 })
		missing, acked := d.missing()
		if missing > 0 || len(d.wrong) > 0 || acked == 0 {
			t.Errorf("%s: %d of %d acknowledged messages are lost, %d are wrong: %.2000s", name, missing, acked, len(d.wrong), strings.Join(d.wrong, "\n"))
		}
		t.Logf("%s: %d kills, %d acknowledged, %d lost, %d came again", name, kills, acked, missing, d.again)
	}
}

// wasDisconnected wants the retained status of a device that was connected when the platform was killed.
func (p *embedded) wasDisconnected(id string) {
	p.t.Helper()
	got := make(chan mqtt.Message, 10)
	client := mqtt.NewClient(p.options("a:legacy:status", true).SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { got <- m }))
	wait(p.t, client.Connect(), "connect")
	defer client.Disconnect(50)
	wait(p.t, client.Subscribe("iot-2/type/fan/id/"+id+"/mon", 0, nil), "subscribe")
	select {
	case m := <-got:
		var s struct{ Action string }
		if err := json.Unmarshal(m.Payload(), &s); err != nil || s.Action != "Disconnect" || !m.Retained() {
			p.t.Errorf("after the kill the status of %s is %s (retained %v), want a retained Disconnect", id, m.Payload(), m.Retained())
		}
	case <-time.After(20 * time.Second):
		p.t.Errorf("after the kill there is no status of %s", id)
	}
}

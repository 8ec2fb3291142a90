package main_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// BenchmarkCommandWhilePolling writes to a drive while 1,000 values/s are polled from it over Modbus TCP, each answer
// taking 4 ms: from the moment a command is handed to the broker (mosquitto) to the write on the wire, and to the
// reply. The queue is on a real disk with the default linger.
func BenchmarkCommandWhilePolling(b *testing.B) {
	const registers = 1000
	broker := startMosquitto(b).addr
	fan := newDrive(b)
	fan.answerIn = 4 * time.Millisecond
	var body strings.Builder
	fmt.Fprintf(&body, "[log]\nlevel = \"info\"\n[writes]\nallow = true\n[links.plc]\nmodbus_tcp = %q\n[devices.fan]\ntype = \"drive\"\nid = \"FAN-3\"\nlink = \"plc\"\nevery = \"1s\"\n[devices.fan.points]\n", fan.addr())
	for r := range registers {
		fmt.Fprintf(&body, "r%d = { holding = %d }\n", r, r)
	}
	body.WriteString("[devices.fan.commands.number]\nargs = { n = { type = \"int\", min = 0, max = 60000 } }\nwrite = { holding = 2000, value = \"n\" }\nreply = \"number_result\"\n")
	listening(b, startBridge(b, siteFile(b, broker, body.String()), b.TempDir()))

	type answer struct {
		id string
		at time.Time
	}
	answers := make(chan answer, 1000)
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + broker).SetClientID("bench").SetProtocolVersion(4))
	if tok := c.Connect(); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		b.Fatal(tok.Error())
	}
	defer c.Disconnect(50)
	c.Subscribe("iot-2/type/drive/id/FAN-3/evt/number_result/fmt/json", 1, func(_ mqtt.Client, m mqtt.Message) {
		var p struct{ D reply }
		_ = json.Unmarshal(m.Payload(), &p)
		answers <- answer{p.D.ID, time.Now()}
	}).Wait()

	const commands = 200 // in one round: the 99th percentile needs some
	var onWire, replied []time.Duration
	one := func(i int) {
		id := fmt.Sprint("n-", i)
		began := time.Now()
		c.Publish("iot-2/type/drive/id/FAN-3/cmd/number/fmt/json", 1, false, fmt.Sprintf(`{"d":{"n":%d},"id":"%s"}`, i%60000, id))
		select {
		case a := <-answers:
			if a.id != id {
				b.Fatalf("the reply is to %s, want %s", a.id, id)
			}
			replied = append(replied, a.at.Sub(began))
		case <-time.After(10 * time.Second):
			b.Fatal("no reply in 10 s")
		}
		w := fan.written()
		onWire = append(onWire, w[len(w)-1].at.Sub(began))
		<-time.After(time.Duration(7+i%83) * time.Millisecond) // anywhere in a poll
	}
	for i := 1; b.Loop(); {
		for range commands {
			one(i)
			i++
		}
	}
	ms := func(d []time.Duration, share float64) float64 {
		slices.Sort(d)
		return float64(d[min(int(share*float64(len(d))), len(d)-1)].Microseconds()) / 1000
	}
	b.ReportMetric(ms(onWire, 0.5), "ms-wire-p50")
	b.ReportMetric(ms(onWire, 0.99), "ms-wire-p99")
	b.ReportMetric(ms(replied, 0.5), "ms-reply-p50")
	b.ReportMetric(ms(replied, 0.99), "ms-reply-p99")
}

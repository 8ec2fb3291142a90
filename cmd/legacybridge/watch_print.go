package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"legacybridge/mapping"
	"legacybridge/publisher"
	"legacybridge/publisher/wiotp"
)

// A watchPrinter prints what is watched as it comes.
type watchPrinter struct {
	out    io.Writer
	json   bool
	kind   wiotp.Kind
	topic  string // template; "" for the platform's status topics
	raw    bool   // parts of chunked events stay what they are
	where  *mapping.Where
	sample time.Duration
	log    *slog.Logger // for parts that do not join; nil: nowhere

	join    publisher.Joiner
	sampled map[string]time.Time // when a topic was printed last
	printed chan struct{}        // pulses for await; nil: nobody waits
	mu      sync.Mutex
	n       int
}

// eventLine is the promised form of `watch events --json`, and of `watch commands --json` with the command for the event.
type eventLine struct {
	Time    time.Time       `json:"time"`
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	Event   string          `json:"event,omitempty"`
	Command string          `json:"command,omitempty"`
	Format  string          `json:"format"`
	QoS     byte            `json:"qos"`
	Bytes   int             `json:"bytes"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Base64  []byte          `json:"payload_base64,omitempty"`
}

func (l *eventLine) setPayload(payload []byte) {
	if json.Valid(payload) {
		l.Payload = payload
	} else {
		l.Base64 = payload
	}
}

// statusLine is the promised form of `watch devices --json` and `watch apps --json`.
type statusLine struct {
	Time    time.Time       `json:"time"` // when it happened, as the platform says
	Type    string          `json:"type,omitempty"`
	ID      string          `json:"id"`
	Action  string          `json:"action"`
	Last    bool            `json:"last,omitempty"` // the state from before the subscription
	Code    wiotp.CloseCode `json:"close_code,omitempty"`
	Meaning string          `json:"meaning,omitempty"` // of the code
	Client  string          `json:"client,omitempty"`
	Address string          `json:"address,omitempty"`
}

// print prints m unless it is filtered out.
func (p *watchPrinter) print(m publisher.Message) {
	if p.kind == wiotp.DeviceStatus || p.kind == wiotp.AppStatus {
		p.printStatus(m)
		return
	}
	if !p.raw {
		event, ok, err := p.join.Add(m)
		if err != nil && p.log != nil {
			p.log.Warn("parts given up", "err", err)
		}
		if !ok {
			return
		}
		m = event
	}
	topic := topicParts(p.topic, m.Topic)
	if !p.wanted(m, topic) {
		return
	}
	defer p.counted()
	if !p.json {
		fmt.Fprintf(p.out, "%s  %-24s  %-12s %s  %d B\n", m.Time.Local().Format(time.TimeOnly), printable([]byte(topic.Type+"/"+topic.ID)), printable([]byte(topic.Name)),
			printable(m.Payload), len(m.Payload))
		return
	}
	line := eventLine{Time: m.Time.UTC(), Type: topic.Type, ID: topic.ID, Event: topic.Name, Format: topic.Format, QoS: m.QoS, Bytes: len(m.Payload)}
	if p.kind == wiotp.Command {
		line.Event, line.Command = "", topic.Name
	}
	line.setPayload(m.Payload)
	_ = json.NewEncoder(p.out).Encode(line) // a reader that has gone is noticed by the signal
}

// printStatus prints a connect or disconnect, with its close code in words.
func (p *watchPrinter) printStatus(m publisher.Message) {
	s, err := wiotp.ParseStatus(m.Payload)
	topic := topicParts("iot-2/type/{type}/id/{id}/mon", m.Topic)
	if p.kind == wiotp.AppStatus {
		topic = topicParts("iot-2/app/{id}/mon", m.Topic)
	}
	if err != nil {
		if p.log != nil {
			p.log.Warn("not a status of the platform", "topic", m.Topic, "err", err)
		}
		return
	}
	if !p.wanted(m, topic) {
		return
	}
	defer p.counted()
	line := statusLine{Time: s.Time.UTC(), Type: topic.Type, ID: topic.ID, Action: s.Action, Last: m.Retained, Code: s.CloseCode, Meaning: s.CloseCode.Meaning(),
		Client: s.ClientID, Address: s.ClientAddr}
	if s.CloseCode == 0 {
		line.Meaning = ""
	}
	if p.json {
		_ = json.NewEncoder(p.out).Encode(line)
		return
	}
	who, state, why := topic.ID, "", ""
	if topic.Type != "" {
		who = topic.Type + "/" + topic.ID
	}
	if m.Retained {
		state = "  (so far)"
	}
	if s.CloseCode != 0 {
		why = fmt.Sprintf("  %d %s: %s", s.CloseCode, line.Meaning, s.CloseCode.Advice())
	}
	fmt.Fprintf(p.out, "%s  %-24s  %-13s %s%s%s\n", line.Time.Local().Format(time.TimeOnly), printable([]byte(who)), printable([]byte(s.Action)),
		printable([]byte(s.ClientAddr)), state, why)
}

// wanted says whether a message meets --where and --sample.
func (p *watchPrinter) wanted(m publisher.Message, topic wiotp.Topic) bool {
	if p.where != nil && !p.where.Match(topic.Type, topic.ID, topic.Name, topic.Format, m.Payload) {
		return false
	}
	if p.sample <= 0 {
		return true
	}
	if last, known := p.sampled[m.Topic]; known && m.Time.Sub(last) < p.sample {
		return false
	}
	if p.sampled == nil || len(p.sampled) >= maxSampled {
		p.sampled = map[string]time.Time{}
	}
	p.sampled[m.Topic] = m.Time
	return true
}

// maxSampled bounds the topics that are remembered; with more, some are printed once too often.
const maxSampled = 100_000

func (p *watchPrinter) counted() {
	p.mu.Lock()
	p.n++
	p.mu.Unlock()
	select {
	case p.printed <- struct{}{}:
	default:
	}
}

// await returns once n lines were printed, or after limit.
func (p *watchPrinter) await(n int, limit time.Duration) {
	end := time.After(limit)
	for p.count() < n {
		select {
		case <-p.printed:
		case <-end:
			return
		}
	}
}

func (p *watchPrinter) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// printable is text as it is, and anything else in base64; what a terminal would obey is text too, and is quoted.
func printable(payload []byte) string {
	if !utf8.Valid(payload) {
		return "base64:" + base64.StdEncoding.EncodeToString(payload)
	}
	for _, c := range string(payload) {
		if c < 0x20 || c >= 0x7f && c < 0xa0 {
			return fmt.Sprintf("%q", payload)
		}
	}
	return string(payload)
}

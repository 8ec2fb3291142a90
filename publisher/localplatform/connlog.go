package localplatform

import (
	"net/http"
	"sync"
	"time"

	"legacybridge/publisher/wiotp"
)

// connectionLog remembers the last connections of each registered device, for people who look for the reason of a
// refusal: a device of MQTT 3.1.1 is told none. It lives in memory.
type connectionLog struct {
	mu    sync.Mutex
	lines map[Device][]logLine
}

type logLine struct {
	Message string `json:"message"`
	Time    string `json:"timestamp"`
}

// maxLogLines is what is kept per device.
const maxLogLines = 20

// logConnection adds a line about c, if it is that of a registered device or gateway.
func (p *Platform) logConnection(c *conn, message string) {
	id := c.rights.ID
	if c.rights.ID.Class == 0 { // its login was refused
		id, _ = wiotp.ParseClientID(c.id)
	}
	d := Device{Type: id.Type, ID: id.ID}
	if id.Org != p.org || !p.registry.has(d.Type, d.ID) {
		return
	}
	message += " (client " + c.id + ", address " + c.host + ")"
	l := &p.connections
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines == nil {
		l.lines = map[Device][]logLine{}
	}
	lines := l.lines[d]
	if len(lines) >= maxLogLines {
		lines = append(lines[:0:0], lines[1:]...)
	}
	l.lines[d] = append(lines, logLine{message, stamp(time.Now())})
}

func (l *connectionLog) of(d Device) []logLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]logLine{}, l.lines[d]...)
}

func (l *connectionLog) forget(d Device) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.lines, d)
}

func (c *call) connectionLog() (int, any, error) {
	q, err := c.query("typeId", "deviceId")
	if err != nil {
		return 0, nil, err
	}
	d := Device{Type: q.Get("typeId"), ID: q.Get("deviceId")}
	if d.Type == "" || d.ID == "" {
		return 0, nil, invalid("typeId and deviceId must both be given")
	}
	if !c.sees(d) {
		return 0, nil, outside(d)
	}
	if _, err := c.p.registry.device(d); err != nil {
		return 0, nil, of(d, err)
	}
	return http.StatusOK, c.p.connections.of(d), nil
}

// unregister ends what a removed device still has: its connection, for its token is no longer good.
func (p *Platform) unregister(d Device) {
	p.connections.forget(d)
	for _, class := range []wiotp.Class{wiotp.Device, wiotp.Gateway} {
		p.hangUp(wiotp.ClientID{Class: class, Org: p.org, Type: d.Type, ID: d.ID},
			&wiotp.Refusal{Rule: "registry", Code: wiotp.ClosedByAdmin, Why: "the device was removed from the registry"})
	}
}

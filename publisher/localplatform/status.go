package localplatform

import (
	"encoding/json"
	"time"

	"legacybridge/publisher/wiotp"
)

// A deviceStatus is what a new subscriber of iot-2/type/T/id/I/mon is told.
type deviceStatus struct {
	connected bool
	at        time.Time
	payload   []byte
}

// An appStatus is the Connect of one connection of an application; it goes with the connection.
type appStatus struct {
	s       *session
	payload []byte
}

// statusKept is how long the last status of a device is told.
const statusKept = 45 * 24 * time.Hour

// status fills in what all status messages have.
func (c *conn) status(action string, now time.Time) wiotp.Status {
	return wiotp.Status{Action: action, Time: wiotp.StatusTime{Time: now}, ClientAddr: c.host, ClientID: c.id, Port: c.port,
		Secure: c.secure, Protocol: c.protocol, User: c.user}
}

// statusTopic is where the status of id is told.
func statusTopic(id wiotp.ClientID) wiotp.Topic {
	if id.Class.IsApplication() {
		return wiotp.Topic{Kind: wiotp.AppStatus, App: id.App}
	}
	return wiotp.Topic{Kind: wiotp.DeviceStatus, Type: id.Type, ID: id.ID}
}

func (h *hub) tell(w *world, t wiotp.Topic, payload []byte, now time.Time) {
	h.route(w, &message{topic: t, name: t.String(), payload: payload, at: now})
}

// announce tells that s is connected.
func (h *hub) announce(s *session, l *login, present bool) {
	c, w, now := s.conn, h.world(s.id), time.Now()
	c.since = now
	durable := s.durable()
	st := c.status(wiotp.Connected, now)
	st.Durable, st.NewSession = &durable, durable && !present
	payload := st.Append(nil)
	if s.id.Class.IsApplication() {
		w.apps[s.id.App] = append(w.apps[s.id.App], appStatus{s, payload})
	} else {
		h.keepStatus(w, s.id, &deviceStatus{connected: true, at: now, payload: payload})
	}
	h.tell(w, statusTopic(s.id), payload, now)
}

// farewell tells that the connection c of s has ended. The end of one that a newer connection has replaced changes
// nothing that is kept.
func (h *hub) farewell(s *session, c *conn, cause *wiotp.Refusal) {
	w, now := h.world(s.id), time.Now()
	st := c.status(wiotp.Disconnected, now)
	st.ConnectTime = &wiotp.StatusTime{Time: c.since}
	if cause.Code != wiotp.ClosedByClient {
		st.CloseCode, st.Reason = cause.Code, cause.Code.Meaning()
	}
	c.count(&st)
	payload := st.Append(nil)
	if s.id.Class.IsApplication() {
		w.goneApp(s)
	} else if cause.Code != wiotp.ClientIDReused {
		if s.id.Org == wiotp.Quickstart {
			delete(w.devices, Device{s.id.Type, s.id.ID})
		} else {
			h.keepStatus(w, s.id, &deviceStatus{at: now, payload: payload})
		}
	}
	h.tell(w, statusTopic(s.id), payload, now)
}

func (w *world) goneApp(s *session) {
	rest := w.apps[s.id.App][:0:0]
	for _, a := range w.apps[s.id.App] {
		if a.s != s {
			rest = append(rest, a)
		}
	}
	if len(rest) == 0 {
		delete(w.apps, s.id.App)
		return
	}
	w.apps[s.id.App] = rest
}

func (h *hub) keepStatus(w *world, id wiotp.ClientID, st *deviceStatus) {
	d := Device{id.Type, id.ID}
	if w.devices[d] == nil && len(w.devices) >= maxDevices {
		w.forgetOne()
	}
	w.devices[d] = st
	if w == &h.org {
		h.write(kindStatus, statusRecord(d, st))
	}
}

// forgetOne makes room: there is no more status than there may be devices, but for those that were removed.
func (w *world) forgetOne() {
	for d, st := range w.devices {
		if !st.connected {
			delete(w.devices, d)
			return
		}
	}
}

// failed tells of a login that was refused.
func (h *hub) failed(c *conn, id wiotp.ClientID, r *wiotp.Refusal) {
	now := time.Now()
	st := c.status(wiotp.FailedConnect, now)
	st.ConnectTime = &wiotp.StatusTime{Time: now}
	st.CloseCode, st.Reason = r.Code, r.Code.Meaning()
	h.lock()
	defer h.unlock()
	h.tell(h.world(id), statusTopic(id), st.Append(nil), now)
}

// tellKnown tells a new subscription what is known already.
func (h *hub) tellKnown(s *session, sub *subscription) {
	w := h.world(s.id)
	give := func(t wiotp.Topic, payload []byte) {
		if s.rights.Sees(t) {
			h.give(s, &delivery{m: &message{topic: t, name: t.String(), payload: payload, retain: true, at: time.Now(), free: w == &h.quick}, sub: sub})
		}
	}
	f := sub.filter
	switch f.Kind {
	case wiotp.AppStatus:
		one := func(app string) {
			if all := w.apps[app]; len(all) > 0 {
				give(wiotp.Topic{Kind: wiotp.AppStatus, App: app}, all[len(all)-1].payload)
			}
		}
		if f.App != anyLevel {
			one(f.App)
			return
		}
		for app := range w.apps {
			one(app)
		}
	case wiotp.DeviceStatus:
		if f.Type != anyLevel && f.ID != anyLevel {
			if st := w.devices[Device{f.Type, f.ID}]; st != nil {
				give(wiotp.Topic{Kind: wiotp.DeviceStatus, Type: f.Type, ID: f.ID}, st.payload)
			}
			return
		}
		for d, st := range w.devices {
			if t := (wiotp.Topic{Kind: wiotp.DeviceStatus, Type: d.Type, ID: d.ID}); f.Matches(t) {
				give(t, st.payload)
			}
		}
	}
}

// expire forgets devices of which nothing was heard for long.
func (w *world) expire(now time.Time) {
	for d, st := range w.devices {
		if !st.connected && now.Sub(st.at) > statusKept {
			delete(w.devices, d) // the next snapshot of the journal leaves it out
		}
	}
}

// recover tells that devices which were connected when the last process ended are not any more.
func (w *world) recover(h *hub, now time.Time) {
	for d, st := range w.devices {
		if !st.connected {
			continue
		}
		var was wiotp.Status
		_ = json.Unmarshal(st.payload, &was) // our own; what is missing stays empty
		at := was.Time
		var none uint64
		was.Action, was.Time, was.ConnectTime = wiotp.Disconnected, wiotp.StatusTime{Time: now}, &at
		was.Durable, was.NewSession = nil, false
		was.CloseCode, was.Reason = wiotp.ServerShutdown, wiotp.ServerShutdown.Meaning()
		was.ReadBytes, was.ReadMsg, was.WriteBytes, was.WriteMsg = &none, &none, &none, &none
		h.keepStatus(w, wiotp.ClientID{Type: d.Type, ID: d.ID}, &deviceStatus{at: now, payload: was.Append(nil)})
	}
}

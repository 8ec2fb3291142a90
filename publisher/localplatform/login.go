package localplatform

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"strings"
	"time"

	"legacybridge/publisher/wiotp"
)

// refusedLevel5 is how MQTT 5 is told that it is not spoken here: in its own form.
const refusedLevel5 byte = 0x84

const (
	// minLogin is room for any client id, key and token, however small max_payload is.
	minLogin = 4096
	// maxLogin is the longest login that MQTT's fields allow, however large max_payload is.
	maxLogin = 5*(2+math.MaxUint16) + 64
	// maxLarge bounds the logins above minLogin that are read at a time: strangers must not fill the memory.
	maxLarge = 16
)

// readLogin reads the first packet. A longer one than limit is refused before its body is read. Before it reads one
// above minLogin, it asks whether there is room.
func readLogin(r io.Reader, limit int, room func() bool) ([]byte, *wiotp.Refusal) {
	var b [5]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return nil, silence(err)
	}
	if b[0] == tlsRecord {
		return nil, errTLSToPlain
	}
	if b[0] != connectPacket {
		return nil, &wiotp.Refusal{Rule: "login", Code: wiotp.BadData, Why: "the first bytes are not an MQTT login; HTTP or a scan"}
	}
	size, n := 0, 1
	for shift := 0; ; shift += 7 {
		if n == len(b) {
			return nil, &wiotp.Refusal{Rule: "login", Code: wiotp.BadData, Why: "the length of the login is not valid"}
		}
		if _, err := io.ReadFull(r, b[n:n+1]); err != nil {
			return nil, silence(err)
		}
		size |= int(b[n]&0x7f) << shift
		n++
		if b[n-1]&0x80 == 0 {
			break
		}
	}
	if limit = min(max(limit, minLogin), maxLogin); n+size > limit {
		return nil, &wiotp.Refusal{Rule: "login", Code: wiotp.FirstPacketLarge, Why: fmt.Sprintf("a login of %d bytes, at most %d are allowed", n+size, limit)}
	}
	if n+size > minLogin && !room() {
		return nil, silence(os.ErrDeadlineExceeded)
	}
	raw := append(make([]byte, 0, n+size), b[:n]...)
	if _, err := io.ReadFull(r, raw[n:n+size]); err != nil {
		return nil, silence(err)
	}
	return raw[:n+size], nil
}

// takeLarge waits for one of the places for large logins, as long as the login may take.
func (p *Platform) takeLarge(c *conn) bool {
	late := time.NewTimer(time.Until(c.loginBy))
	defer late.Stop()
	select {
	case p.large <- struct{}{}:
		return true
	case <-late.C:
	case <-c.gone:
	}
	return false
}

// silence is why a first packet did not come whole.
func silence(err error) *wiotp.Refusal {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &wiotp.Refusal{Rule: "silent", Code: wiotp.NoData, Why: "no complete login in time"}
	}
	return &wiotp.Refusal{Rule: "silent", Code: wiotp.ConnectionLost, Why: "closed before the login"}
}

// admit decides about a login by everything but how many there are.
func (p *Platform) admit(c *conn, raw []byte) (*login, error) {
	l, err := parseLogin(raw)
	if err != nil {
		return nil, err
	}
	id, err := wiotp.ParseClientID(l.id)
	if err != nil {
		c.id = strings.ToValidUTF8(l.id[:min(len(l.id), wiotp.MaxSegment)], "?")
		return nil, err
	}
	c.id, c.protocol = l.id, l.protocol
	l.rights = wiotp.Rights{ID: id, Wildcards: p.wildcards}
	switch {
	case id.Org == wiotp.Quickstart && !p.quickstart:
		return nil, unauthorized("org", "the organisation %s is not served here (rules.quickstart)", wiotp.Quickstart)
	case id.Org == wiotp.Quickstart:
		if !c.addr.IsLoopback() {
			return nil, unauthorized("quickstart", "%s is served to clients on the same machine only", wiotp.Quickstart)
		}
		if c.secure {
			return nil, unauthorized("quickstart", "%s has no TLS", wiotp.Quickstart)
		}
		c.known = true
	case id.Org != p.org:
		return nil, unauthorized("org", "the client id names another organisation, this is %s", p.org)
	default:
		c.known = true
		if err := p.authenticate(c, l); err != nil {
			p.wrongLogin(c.host, c.addr)
			return nil, err
		}
		if err := p.cleanSession.Check(id, l.clean); err != nil {
			return nil, err
		}
	}
	c.rights, c.keepalive = l.rights, id.Keepalive(l.keepalive)
	return l, p.admitWill(c, l)
}

// authenticate checks credentials, and gives an application the rights of its key.
func (p *Platform) authenticate(c *conn, l *login) error {
	id := l.rights.ID
	if !id.Class.IsApplication() {
		gateway := p.registry.isGateway(id.Type)
		good := p.registry.deviceToken(id.Type, id.ID, string(l.password))
		switch {
		case l.user != wiotp.UseTokenAuth:
			return unauthorized("token", "the user name of a %s is %s", id.Class, wiotp.UseTokenAuth)
		case !good:
			return unauthorized("token", "wrong token for %s/%s, or it is not registered", id.Type, id.ID)
		case gateway != (id.Class == wiotp.Gateway):
			return unauthorized("client_id", "%s/%s is registered as another class than %s", id.Type, id.ID, id.Class)
		}
		return nil
	}
	if !l.hasUser {
		return unauthorized("api_key", "the login has no API key as user name")
	}
	u, ok := p.login(l.user, string(l.password))
	if _, known := p.users[l.user]; !known {
		// The name is not logged: people put the token into the wrong field.
		return unauthorized("api_key", "the user name is not an API key of this platform")
	}
	c.user = l.user
	if !ok {
		return unauthorized("token", "wrong token for API key %s", l.user)
	}
	l.rights.Role, l.rights.Group = u.role, u.group
	return nil
}

// admitWill checks a will as if it were published now.
func (p *Platform) admitWill(c *conn, l *login) error {
	if !l.will.set {
		return nil
	}
	t, err := p.mayPublish(&l.rights, l.will.topic, len(l.will.payload))
	if r, ok := errors.AsType[*wiotp.Refusal](err); ok {
		return &wiotp.Refusal{Rule: "will", Code: r.Code, Connack: wiotp.ConnackUnauthorized, Why: "the will may not be published: " + r.Why}
	}
	qos := l.will.qos
	if l.rights.ID.Org == wiotp.Quickstart {
		qos = 0
	}
	c.will = newMessage(t, bytes.Clone(l.will.payload), qos) // the login holds the token too
	return nil
}

// wrongLogin counts a login with wrong credentials.
func (p *Platform) wrongLogin(host string, a netip.Addr) {
	if p.slow.wrong(a) {
		p.refusals.slowed(host)
	}
}

func unauthorized(rule, format string, args ...any) error {
	return &wiotp.Refusal{Rule: rule, Code: wiotp.NotAuthorized, Connack: wiotp.ConnackUnauthorized, Why: fmt.Sprintf(format, args...)}
}

// refuse answers a login that is turned down, in the words of its protocol, and logs it.
func (p *Platform) refuse(c *conn, err error) {
	r, ok := errors.AsType[*wiotp.Refusal](err)
	if !ok {
		r = &wiotp.Refusal{Rule: "login", Code: wiotp.ServerProblem, Why: err.Error()}
	}
	answer := []byte{connackPacket, 2, 0, r.Connack}
	switch r.Connack {
	case 0:
		answer = nil
	case refusedLevel5:
		answer = []byte{connackPacket, 3, 0, r.Connack, 0}
	}
	_ = c.Conn.SetWriteDeadline(time.Now().Add(closeGrace)) // it is closed next, answered or not
	_, _ = c.Conn.Write(answer)
	p.refused.Add(1)
	w := c.who()
	w.crowd = p.slow.delay(c.addr) > 0
	p.refusals.add(w, r)
	p.logConnection(c, "login refused: "+r.Code.String())
	if id, err := wiotp.ParseClientID(c.id); err == nil && c.known {
		p.hub.failed(c, id, r)
	}
}

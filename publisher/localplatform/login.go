package localplatform

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"legacybridge/publisher/wiotp"
)

// refusedLevel5 is how MQTT 5 is told that it is not spoken here: in its own form.
const refusedLevel5 byte = 0x84

// minLogin is room for any client id, key and token, however small max_payload is.
const minLogin = 4096

// readLogin reads the first packet. A longer one than limit is refused before its body is read, and the buffer grows
// only with what came.
func readLogin(r io.Reader, limit int) ([]byte, *wiotp.Refusal) {
	var b [5]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return nil, silence(err)
	}
	if b[0] != connectPacket {
		return nil, &wiotp.Refusal{Rule: "login", Code: wiotp.BadData, Why: "the first bytes are not an MQTT login; TLS, HTTP or a scan"}
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
	if limit = max(limit, minLogin); n+size > limit {
		return nil, &wiotp.Refusal{Rule: "login", Code: wiotp.FirstPacketLarge, Why: fmt.Sprintf("a login of %d bytes, at most %d are allowed", n+size, limit)}
	}
	raw, err := io.ReadAll(io.LimitReader(io.MultiReader(bytes.NewReader(b[:n]), r), int64(n+size)))
	if err == nil && len(raw) < n+size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, silence(err)
	}
	return raw, nil
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
	c.id = l.id
	id, err := wiotp.ParseClientID(l.id)
	if err != nil {
		c.id = strings.ToValidUTF8(l.id[:min(len(l.id), wiotp.MaxSegment)], "?")
		return nil, err
	}
	refuse := func(rule string, code wiotp.CloseCode, format string, args ...any) error {
		return &wiotp.Refusal{Rule: rule, Code: code, Connack: wiotp.ConnackUnauthorized, Why: fmt.Sprintf(format, args...)}
	}
	switch {
	case id.Org == wiotp.Quickstart:
		return nil, refuse("org", wiotp.NotAuthorized, "the organisation quickstart is not supported yet")
	case id.Org != p.org:
		return nil, refuse("org", wiotp.NotAuthorized, "the client id names another organisation, this is %s", p.org)
	case !id.Class.IsApplication():
		return nil, refuse("client_id", wiotp.BadClientID, "logins of devices and gateways are not supported yet")
	case id.Class == wiotp.ScalableApplication:
		return nil, refuse("scalable", wiotp.BadClientID, "scalable applications (A:ORG:APP) are not supported yet, log in as a:%s:%s", id.Org, id.App)
	case !l.hasUser:
		return nil, refuse("api_key", wiotp.NotAuthorized, "the login has no API key as user name")
	}
	if _, ok := p.login(l.user, string(l.password)); !ok {
		if _, known := p.users[l.user]; !known {
			// The name is not logged: people put the token into the wrong field.
			return nil, refuse("api_key", wiotp.NotAuthorized, "the user name is not an API key of this platform")
		}
		return nil, refuse("token", wiotp.NotAuthorized, "wrong token for API key %s", l.user)
	}
	switch {
	case !l.will.set:
		return l, nil
	case l.will.size == 0: // the broker cannot carry it
		return nil, refuse("will", wiotp.NotAuthorized, "a will without payload is not supported")
	}
	if r, ok := errors.AsType[*wiotp.Refusal](p.mayPublish(l.will.topic, l.will.size)); ok {
		return nil, refuse("will", r.Code, "the will may not be published: %s", r.Why)
	}
	return l, nil
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
	p.refusals.add(c.who(), r)
}

package localplatform

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"legacybridge/publisher/wiotp"
)

func (c *call) listDevices() (int, any, error) {
	q, err := c.query("_limit", "_bookmark", "_sort", "deviceId")
	if err != nil {
		return 0, nil, err
	}
	typ := c.segments[0]
	if _, err := c.p.registry.deviceType(typ); err != nil {
		return 0, nil, of(Device{Type: typ}, err)
	}
	return c.listOf(q, typ)
}

func (c *call) listAllDevices() (int, any, error) {
	q, err := c.query("_limit", "_bookmark", "_sort", "typeId", "deviceId")
	if err != nil {
		return 0, nil, err
	}
	return c.listOf(q, q.Get("typeId"))
}

func (c *call) listOf(q url.Values, typ string) (int, any, error) {
	sorts := []string{"typeId", "typeId,deviceId"}
	if typ != "" {
		sorts = append(sorts, "deviceId")
	}
	p, err := c.paging(q, sorts...)
	if err != nil {
		return 0, nil, err
	}
	id := q.Get("deviceId")
	page, more, total := c.p.registry.listDevices(typ, p.after, p.limit, func(d Device) bool {
		return (id == "" || d.ID == id) && c.sees(d)
	})
	views := make([]deviceView, len(page))
	for i, d := range page {
		views[i] = c.p.viewDevice(d)
	}
	l := list{Results: views}
	l.Meta.Total = total
	if more {
		l.Bookmark = bookmark(page[len(page)-1].key())
	}
	return http.StatusOK, l, nil
}

// named is the device that the path names, if the key may act for it.
func (c *call) named() (Device, error) {
	d := Device{Type: c.segments[0], ID: c.segments[1]}
	if !c.sees(d) {
		return d, outside(d)
	}
	return d, nil
}

func (c *call) getDevice() (int, any, error) {
	key, err := c.named()
	if err != nil {
		return 0, nil, err
	}
	d, err := c.p.registry.device(key)
	if err != nil {
		return 0, nil, of(key, err)
	}
	return http.StatusOK, c.p.viewDevice(d), nil
}

// deviceRequest is a device in a request; the type is in the body of bulk calls only. A null counts as left out.
type deviceRequest struct {
	Type       string          `json:"typeId"`
	ID         string          `json:"deviceId"`
	Token      string          `json:"authToken"`
	Info       *deviceInfo     `json:"deviceInfo"`
	Location   json.RawMessage `json:"location"`
	Metadata   json.RawMessage `json:"metadata"`
	Status     json.RawMessage `json:"status"`
	Extensions json.RawMessage `json:"extensions"`
}

// violations checks what every request may have.
func (r *deviceRequest) violations() (all []string) {
	for _, o := range []struct {
		name string
		raw  *json.RawMessage
	}{{"location", &r.Location}, {"metadata", &r.Metadata}, {"status", &r.Status}, {"extensions", &r.Extensions}} {
		if v := checkObject(o.name, o.raw); v != "" {
			all = append(all, v)
		}
	}
	return all
}

// checkObject wants raw to be a JSON object, and makes a null what is left out.
func checkObject(name string, raw *json.RawMessage) (violation string) {
	text := bytes.TrimSpace(*raw)
	if string(text) == "null" {
		*raw = nil
		return ""
	}
	if len(text) > 0 && text[0] != '{' {
		return name + " must be a JSON object"
	}
	return ""
}

func (r *deviceRequest) apply(d *device) {
	if r.Info != nil {
		d.Info = *r.Info
	}
	for _, o := range []struct{ to, from *json.RawMessage }{
		{&d.Location, &r.Location}, {&d.Metadata, &r.Metadata}, {&d.Status, &r.Status}, {&d.Extensions, &r.Extensions},
	} {
		if *o.from != nil {
			*o.to = *o.from
		}
	}
}

// register makes the device of a request and returns it with its token, which is told once. r.Type is set.
func (c *call) register(r *deviceRequest) (d *device, token string, n uint64, err error) {
	violations := r.violations()
	if err := wiotp.CheckSegment("deviceId", r.ID); err != nil {
		violations = append(violations, err.Error())
	}
	if token = r.Token; token == "" {
		token = rand.Text()
	} else if err := wiotp.CheckDeviceToken(wiotp.Token(token)); err != nil {
		violations = append(violations, "authToken: "+err.Error())
	}
	if len(violations) > 0 {
		return nil, "", 0, invalid(violations...)
	}
	key := Device{Type: r.Type, ID: r.ID}
	if !c.sees(key) {
		return nil, "", 0, outside(key)
	}
	d = &device{Type: r.Type, ID: r.ID, By: c.key, Registered: time.Now().UTC()}
	r.apply(d)
	d.setToken(token)
	n, err = c.p.registry.createDevice(d)
	return d, token, n, of(key, err)
}

func (c *call) createDevice() (int, any, error) {
	var req deviceRequest
	if err := c.decode(&req); err != nil {
		return 0, nil, err
	}
	if req.Type != "" && req.Type != c.segments[0] {
		return 0, nil, invalid("typeId is another one than that of the path")
	}
	req.Type = c.segments[0]
	if err := c.room(); err != nil {
		return 0, nil, err
	}
	d, token, n, err := c.register(&req)
	if err != nil {
		return 0, nil, err
	}
	v := c.p.viewDevice(d)
	v.Token = token
	return http.StatusCreated, v, c.kept(n)
}

func (c *call) updateDevice() (int, any, error) {
	key, err := c.named()
	if err != nil {
		return 0, nil, err
	}
	var req deviceRequest
	if err := c.decode(&req); err != nil {
		return 0, nil, err
	}
	violations := req.violations()
	if req.Type != "" && req.Type != key.Type || req.ID != "" && req.ID != key.ID {
		violations = append(violations, "typeId and deviceId cannot be changed")
	}
	if req.Token != "" {
		violations = append(violations, "authToken cannot be changed; remove the device and register it again")
	}
	if len(violations) > 0 {
		return 0, nil, invalid(violations...)
	}
	return c.change(key, req.apply)
}

func (c *call) change(key Device, change func(*device)) (int, any, error) {
	if err := c.room(); err != nil {
		return 0, nil, err
	}
	d, n, err := c.p.registry.updateDevice(key, change)
	if err != nil {
		return 0, nil, of(key, err)
	}
	return http.StatusOK, c.p.viewDevice(d), c.kept(n)
}

func (c *call) deleteDevice() (int, any, error) {
	key, err := c.named()
	if err != nil {
		return 0, nil, err
	}
	if err := c.room(); err != nil {
		return 0, nil, err
	}
	n, err := c.remove(key)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, c.kept(n)
}

// remove forgets a device and ends its connection: its token is no longer good.
func (c *call) remove(key Device) (uint64, error) {
	n, err := c.p.registry.deleteDevice(key)
	if err != nil {
		return 0, of(key, err)
	}
	c.p.unregister(key)
	return n, nil
}

func (c *call) getLocation() (int, any, error) {
	key, err := c.named()
	if err != nil {
		return 0, nil, err
	}
	d, err := c.p.registry.device(key)
	if err != nil {
		return 0, nil, of(key, err)
	}
	if d.Location == nil {
		return 0, nil, notFound(fmt.Sprintf("device %s has no location", key))
	}
	return http.StatusOK, d.Location, nil
}

func (c *call) updateLocation() (int, any, error) {
	key, err := c.named()
	if err != nil {
		return 0, nil, err
	}
	location := json.RawMessage(c.body)
	if !json.Valid(location) || checkObject("location", &location) != "" || location == nil {
		return 0, nil, invalid("the location must be a JSON object")
	}
	status, _, err := c.change(key, func(d *device) { d.Location = location })
	return status, location, err
}

// lastEvents is the last event cache, which this platform does not have.
func (c *call) lastEvents() (int, any, error) {
	return 0, nil, notFound("the last event cache is not enabled on this platform")
}

package localplatform

import (
	"encoding/json"
	"net/http"
	"time"

	"legacybridge/publisher/wiotp"
)

func (c *call) listTypes() (int, any, error) {
	q, err := c.query("_limit", "_bookmark", "_sort")
	if err != nil {
		return 0, nil, err
	}
	p, err := c.paging(q, "id")
	if err != nil {
		return 0, nil, err
	}
	page, more, total := c.p.registry.listTypes(p.after.Type, p.limit, func(t *deviceType) bool { return c.seesType(t.ID) })
	views := make([]typeView, len(page))
	for i, t := range page {
		views[i] = viewType(t)
	}
	l := list{Results: views}
	l.Meta.Total = total
	if more {
		l.Bookmark = bookmark(Device{Type: page[len(page)-1].ID})
	}
	return http.StatusOK, l, nil
}

func (c *call) getType() (int, any, error) {
	id := c.segments[0]
	if !c.seesType(id) {
		return 0, nil, outside(Device{Type: id, ID: "*"})
	}
	t, err := c.p.registry.deviceType(id)
	if err != nil {
		return 0, nil, of(Device{Type: id}, err)
	}
	return http.StatusOK, viewType(t), nil
}

// typeRequest is a type in a request. A null counts as left out.
type typeRequest struct {
	ID          string          `json:"id"`
	Description *string         `json:"description"`
	Class       string          `json:"classId"`
	Info        *deviceInfo     `json:"deviceInfo"`
	Metadata    json.RawMessage `json:"metadata"`
}

func (r *typeRequest) violations() (all []string) {
	if v := checkObject("metadata", &r.Metadata); v != "" {
		all = append(all, v)
	}
	switch r.Class {
	case "", classDevice, classGateway:
	default:
		all = append(all, `classId must be "Device" or "Gateway"`)
	}
	return all
}

func (r *typeRequest) apply(t *deviceType) {
	if r.Description != nil {
		t.Description = *r.Description
	}
	if r.Info != nil {
		t.Info = r.Info
	}
	if r.Metadata != nil {
		t.Metadata = r.Metadata
	}
	t.Updated = time.Now().UTC()
}

func (c *call) createType() (int, any, error) {
	var req typeRequest
	if err := c.decode(&req); err != nil {
		return 0, nil, err
	}
	violations := req.violations()
	if err := wiotp.CheckSegment("id", req.ID); err != nil {
		violations = append(violations, err.Error())
	}
	if len(violations) > 0 {
		return 0, nil, invalid(violations...)
	}
	if !c.ownsType(req.ID) {
		return 0, nil, outside(Device{Type: req.ID, ID: "*"})
	}
	t := &deviceType{ID: req.ID, Class: req.Class, Created: time.Now().UTC()}
	if t.Class == "" {
		t.Class = classDevice
	}
	req.apply(t)
	if err := c.room(); err != nil {
		return 0, nil, err
	}
	n, err := c.p.registry.createType(t)
	if err != nil {
		return 0, nil, of(Device{Type: req.ID}, err)
	}
	return http.StatusCreated, viewType(t), c.kept(n)
}

func (c *call) updateType() (int, any, error) {
	id := c.segments[0]
	var req typeRequest
	if err := c.decode(&req); err != nil {
		return 0, nil, err
	}
	violations := req.violations()
	if req.ID != "" && req.ID != id {
		violations = append(violations, "id cannot be changed")
	}
	if t, err := c.p.registry.deviceType(id); err == nil && req.Class != "" && req.Class != t.Class {
		violations = append(violations, "classId cannot be changed")
	}
	if len(violations) > 0 {
		return 0, nil, invalid(violations...)
	}
	if !c.ownsType(id) {
		return 0, nil, outside(Device{Type: id, ID: "*"})
	}
	if err := c.room(); err != nil {
		return 0, nil, err
	}
	t, n, err := c.p.registry.updateType(id, req.apply)
	if err != nil {
		return 0, nil, of(Device{Type: id}, err)
	}
	return http.StatusOK, viewType(t), c.kept(n)
}

func (c *call) deleteType() (int, any, error) {
	id := c.segments[0]
	if !c.ownsType(id) {
		return 0, nil, outside(Device{Type: id, ID: "*"})
	}
	if err := c.room(); err != nil {
		return 0, nil, err
	}
	n, err := c.p.registry.deleteType(id)
	if err != nil {
		return 0, nil, of(Device{Type: id}, err)
	}
	return http.StatusNoContent, nil, c.kept(n)
}

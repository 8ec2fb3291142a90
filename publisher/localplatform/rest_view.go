package localplatform

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"legacybridge/publisher/wiotp"
)

// typeView is a device type as clients see it.
type typeView struct {
	ID          string          `json:"id"`
	Description string          `json:"description,omitempty"`
	Class       string          `json:"classId"`
	Info        any             `json:"deviceInfo"`
	Metadata    json.RawMessage `json:"metadata"`
	Created     string          `json:"createdDateTime"`
	Updated     string          `json:"updatedDateTime"`
	Refs        struct{}        `json:"refs"`
}

func viewType(t *deviceType) typeView {
	v := typeView{ID: t.ID, Description: t.Description, Class: t.Class, Info: struct{}{}, Metadata: orEmpty(t.Metadata),
		Created: stamp(t.Created), Updated: stamp(t.Updated)}
	if t.Info != nil {
		v.Info = t.Info
	}
	return v
}

// deviceView is a device as clients see it.
type deviceView struct {
	ClientID     string          `json:"clientId"`
	Type         string          `json:"typeId"`
	ID           string          `json:"deviceId"`
	Info         deviceInfo      `json:"deviceInfo"`
	Location     json.RawMessage `json:"location,omitempty"`
	Metadata     json.RawMessage `json:"metadata"`
	Registration struct {
		Auth struct {
			ID   string `json:"id"`
			Type string `json:"type"`
		} `json:"auth"`
		Date string `json:"date"`
	} `json:"registration"`
	Status     any             `json:"status"`
	Extensions json.RawMessage `json:"extensions,omitempty"`
	Refs       struct {
		Diag struct {
			ErrorCodes string `json:"errorCodes"`
			Logs       string `json:"logs"`
		} `json:"diag"`
		Location string `json:"location"`
		Mgmt     string `json:"mgmt"`
	} `json:"refs"`
	Token string `json:"authToken,omitempty"` // only in the answer to the registration
}

func (p *Platform) viewDevice(d *device) deviceView {
	id := wiotp.ClientID{Class: wiotp.Device, Org: p.org, Type: d.Type, ID: d.ID}
	if p.registry.isGateway(d.Type) {
		id.Class = wiotp.Gateway
	}
	v := deviceView{ClientID: id.String(), Type: d.Type, ID: d.ID, Info: d.Info, Location: d.Location, Metadata: orEmpty(d.Metadata), Extensions: d.Extensions}
	v.Registration.Auth.ID, v.Registration.Auth.Type = d.By, "app"
	switch {
	case d.By == "":
		v.Registration.Auth.ID, v.Registration.Auth.Type = "configuration", "system"
	case strings.HasPrefix(d.By, "g:"):
		v.Registration.Auth.Type = "gateway"
	}
	v.Registration.Date = stamp(d.Registered)
	v.Status = d.Status
	if d.Status == nil {
		v.Status = map[string]any{"alert": map[string]any{"enabled": false, "timestamp": stamp(d.Registered)}}
	}
	base := apiBase + "/device/types/" + d.Type + "/devices/" + d.ID
	v.Refs.Diag.ErrorCodes, v.Refs.Diag.Logs = base+"/diag/errorCodes", base+"/diag/logs"
	v.Refs.Location, v.Refs.Mgmt = base+"/location", base+"/mgmt"
	return v
}

// stamp is a time as the platform writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func orEmpty(object json.RawMessage) json.RawMessage {
	if object == nil {
		return json.RawMessage("{}")
	}
	return object
}

// A list is one page.
type list struct {
	Results any `json:"results"`
	Meta    struct {
		Total  int      `json:"total_rows"`
		Facets struct{} `json:"facets"`
	} `json:"meta"`
	Bookmark string `json:"bookmark,omitempty"` // absent on the last page
}

// Sizes of a page.
const (
	usualPage = 25
	maxPage   = 1000
)

// A paging is what the parameters of a list say.
type paging struct {
	limit int
	after Device // the last one of the page before
}

// paging reads _limit and _bookmark. sorts are the orders that _sort may ask for: the one that lists have anyway.
func (c *call) paging(q url.Values, sorts ...string) (p paging, err error) {
	p.limit = usualPage
	if s := q.Get("_limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return p, invalid("_limit must be a number from 1 on")
		}
		p.limit = min(n, maxPage)
	}
	if s := strings.TrimPrefix(q.Get("_sort"), "+"); s != "" {
		ok := false
		for _, have := range sorts {
			ok = ok || s == have
		}
		if !ok {
			return p, invalid("_sort: lists are sorted by " + strings.Join(sorts, " or ") + ", ascending, only")
		}
	}
	if s := q.Get("_bookmark"); s != "" {
		text, err := base64.RawURLEncoding.DecodeString(s)
		var ok bool
		if p.after.Type, p.after.ID, ok = strings.Cut(string(text), "/"); err != nil || !ok {
			return p, invalid("_bookmark is not one that a list has given")
		}
	}
	return p, nil
}

func bookmark(d Device) string {
	return base64.RawURLEncoding.EncodeToString([]byte(d.Type + "/" + d.ID))
}

// sees says whether the key's resource group has the device; a key without one sees all.
func (c *call) sees(d Device) bool { return c.user.group.Has(d.Type, d.ID) }

// seesType says whether the group has devices of the type, and ownsType whether it has all of them: only then may the
// key change the type.
func (c *call) seesType(typ string) bool { return c.hasType(typ, false) }
func (c *call) ownsType(typ string) bool { return c.hasType(typ, true) }

func (c *call) hasType(typ string, whole bool) bool {
	if c.user.group == nil {
		return true
	}
	for _, g := range c.user.group {
		if ok, _ := path.Match(g.Type, typ); ok && (!whole || g.ID == "*") {
			return true
		}
	}
	return false
}

func outside(d Device) error {
	return forbidden("device "+d.String()+" does not belong to the devices of this API key", "devices")
}

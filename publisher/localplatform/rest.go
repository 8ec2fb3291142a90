package localplatform

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"legacybridge/publisher/wiotp"
)

// The platform's interface over HTTP, version v0002: the device registry, and messages one by one.

const apiBase = "/api/v0002"

// A route is one call. {} in its path is a segment of the client's choice.
type route struct {
	method string
	path   string
	need   wiotp.Permission // of the API key; 0: the handler looks itself
	limit  int64            // bytes of the body
	do     func(c *call) (status int, reply any, err error)
}

const (
	maxEntryBody = 128 << 10
	maxBulkBody  = 512 << 10
)

var routes = []route{
	{http.MethodGet, "device/types", wiotp.ViewTypes, 0, (*call).listTypes},
	{http.MethodPost, "device/types", wiotp.ManageTypes, maxEntryBody, (*call).createType},
	{http.MethodGet, "device/types/{}", wiotp.ViewTypes, 0, (*call).getType},
	{http.MethodPut, "device/types/{}", wiotp.ManageTypes, maxEntryBody, (*call).updateType},
	{http.MethodDelete, "device/types/{}", wiotp.ManageTypes, 0, (*call).deleteType},
	{http.MethodGet, "device/types/{}/devices", wiotp.ViewDevices, 0, (*call).listDevices},
	{http.MethodPost, "device/types/{}/devices", wiotp.ManageDevices, maxEntryBody, (*call).createDevice},
	{http.MethodGet, "device/types/{}/devices/{}", wiotp.ViewDevices, 0, (*call).getDevice},
	{http.MethodPut, "device/types/{}/devices/{}", wiotp.ManageDevices, maxEntryBody, (*call).updateDevice},
	{http.MethodDelete, "device/types/{}/devices/{}", wiotp.ManageDevices, 0, (*call).deleteDevice},
	{http.MethodGet, "device/types/{}/devices/{}/location", wiotp.ViewDevices, 0, (*call).getLocation},
	{http.MethodPut, "device/types/{}/devices/{}/location", wiotp.ManageDevices, maxEntryBody, (*call).updateLocation},
	{http.MethodGet, "device/types/{}/devices/{}/events", wiotp.EventCache, 0, (*call).lastEvents},
	{http.MethodGet, "device/types/{}/devices/{}/events/{}", wiotp.EventCache, 0, (*call).lastEvents},
	{http.MethodGet, "bulk/devices", wiotp.ViewDevices, 0, (*call).listAllDevices},
	{http.MethodPost, "bulk/devices/add", wiotp.ManageDevices, maxBulkBody, (*call).addDevices},
	{http.MethodPost, "bulk/devices/remove", wiotp.ManageDevices, maxBulkBody, (*call).removeDevices},
	{http.MethodGet, "logs/connection", wiotp.ViewLogs, 0, (*call).connectionLog},

	{http.MethodPost, "application/types/{}/devices/{}/events/{}", 0, 0, (*call).applicationEvent},
	{http.MethodPost, "application/types/{}/devices/{}/commands/{}", 0, 0, (*call).applicationCommand},
	{http.MethodPost, "device/types/{}/devices/{}/events/{}", 0, 0, (*call).deviceEvent},
}

// A call is one request on its way through.
type call struct {
	*http.Request
	p     *Platform
	rw    http.ResponseWriter
	begin func() // called once the credentials were good

	segments []string // values of {}
	key      string   // the API key
	user     user
	body     []byte
}

// answer finds the route, checks who asks, reads the body and does it.
func (c *call) answer() (int, any, error) {
	rest, ok := strings.CutPrefix(c.URL.EscapedPath(), apiBase+"/")
	if !ok || c.ProtoMajor != 1 {
		return 0, nil, notFound("nothing is here; the interface is under " + apiBase)
	}
	if origin := c.Header.Get("Origin"); origin != "" { // a page that a browser shows must not use a login it remembers
		if u, err := url.Parse(origin); err != nil || u.Host != c.Host {
			return 0, nil, forbidden("this interface is not for web pages of other hosts", "another origin")
		}
	}
	var allowed []string
	for i := range routes {
		r := &routes[i]
		segments, ok := matchPath(r.path, rest)
		if !ok {
			continue
		}
		if r.method != c.Method {
			allowed = append(allowed, r.method)
			continue
		}
		c.segments = segments
		if r.need != 0 {
			if err := c.enter(r.need); err != nil {
				return 0, nil, err
			}
			if err := c.read(r.limit); err != nil {
				return 0, nil, err
			}
		}
		return r.do(c)
	}
	if len(allowed) > 0 {
		return 0, nil, &restError{status: http.StatusMethodNotAllowed, message: c.Method + " is not possible here", allow: allowed}
	}
	return 0, nil, notFound("nothing is here; the interface is under " + apiBase)
}

// matchPath takes an escaped path apart.
func matchPath(pattern, path string) (segments []string, ok bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	for i := range want {
		if want[i] != "{}" {
			if want[i] != got[i] {
				return nil, false
			}
			continue
		}
		s, err := url.PathUnescape(got[i])
		if err != nil || s == "" {
			return nil, false
		}
		segments = append(segments, s)
	}
	return segments, true
}

// enter lets an API key in that may do need: 401 if it is not one, 403 if it may not.
func (c *call) enter(need wiotp.Permission) error {
	name, token, _ := c.BasicAuth()
	key := apiKeyOf(name)
	u, ok := c.p.login(key, token)
	if !ok {
		return &restError{status: http.StatusUnauthorized, message: "the API key or its token is not valid", close: true, challenge: true,
			wrongLogin: true, refusal: c.p.wrongKey(key)}
	}
	c.key, c.user = key, u
	c.begin()
	if !u.role.May(need) {
		return forbidden(fmt.Sprintf("role %s of this API key may not %s; the roles that may: %s", u.role, need, strings.Join(wiotp.RolesThat(need), ", ")), "role")
	}
	return nil
}

// apiKeyOf also takes the older form of an API key as user name, a/ORG/RANDOM.
func apiKeyOf(name string) string {
	if strings.HasPrefix(name, "a/") {
		return strings.ReplaceAll(name, "/", "-")
	}
	return name
}

// wrongKey is the refusal of a login that failed. The name is not logged unless it is a key: people put the token into
// the wrong field.
func (p *Platform) wrongKey(key string) *wiotp.Refusal {
	r := &wiotp.Refusal{Rule: "api_key", Code: wiotp.NotAuthorized, Why: "the user name is not an API key of this platform"}
	if _, known := p.users[key]; known {
		r.Rule, r.Why = "token", "wrong token for API key "+key
	}
	return r
}

// read reads the body of a call that has one: JSON.
func (c *call) read(limit int64) error {
	if limit == 0 {
		return nil
	}
	if err := c.readRaw(limit); err != nil {
		return err
	}
	if !utf8.Valid(c.body) {
		return invalid("the body is not UTF-8")
	}
	return nil
}

// readRaw reads a body of any kind.
func (c *call) readRaw(limit int64) error {
	body, err := io.ReadAll(http.MaxBytesReader(c.rw, c.Body, limit))
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge:
		return &restError{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("the body is longer than %d bytes", limit), close: true}
	case err != nil:
		return &restError{status: http.StatusBadRequest, message: "the body did not come whole", close: true}
	case len(body) == 0:
		return invalid("the body is empty")
	}
	c.body = body
	return nil
}

// decode reads the body's JSON into v; what v does not have is refused, for it would be lost.
func (c *call) decode(v any) error { return decodeStrictly(c.body, v) }

func decodeStrictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok { // its text speaks of our types
		return invalid(fmt.Sprintf("%s: %s does not fit here", cmp.Or(wrong.Field, "the body"), wrong.Value))
	}
	if err != nil {
		return invalid(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return invalid("something follows the JSON value")
	}
	return nil
}

// room and kept stand around a change of the registry: it is answered once it is on disk.
func (c *call) room() error {
	return c.wait(func(ctx context.Context) error { return c.p.journal.room(ctx, nil) })
}

func (c *call) kept(n uint64) error {
	return c.wait(func(ctx context.Context) error { return c.p.journal.wait(ctx, n) })
}

// diskWait is how long a client is kept waiting for a full disk.
const diskWait = 20 * time.Second

func (c *call) wait(wait func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(c.Context(), diskWait)
	defer cancel()
	if err := wait(ctx); err != nil {
		return &restError{status: http.StatusServiceUnavailable, message: "the platform's disk is full or has failed; what was asked for may or may not be kept", close: true}
	}
	return nil
}

// query checks the parameters: one that is not known would be a filter that does nothing.
func (c *call) query(known ...string) (url.Values, error) {
	q, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return nil, invalid("the query cannot be read")
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(known, name) {
			return nil, invalid(fmt.Sprintf("parameter %q is not supported here; supported are: %s", name, strings.Join(known, ", ")))
		}
	}
	return q, nil
}

package localplatform

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"legacybridge/publisher/wiotp"
)

// Messages over HTTP: each request is one event or command, at most once. 200 says that it was handed on.

func (c *call) applicationEvent() (int, any, error)   { return c.message(wiotp.Event, c.application) }
func (c *call) applicationCommand() (int, any, error) { return c.message(wiotp.Command, c.application) }
func (c *call) deviceEvent() (int, any, error)        { return c.message(wiotp.Event, c.deviceOrGateway) }

func (c *call) message(kind wiotp.Kind, login func() (*wiotp.Rights, error)) (int, any, error) {
	t := wiotp.Topic{Kind: kind, Type: c.segments[0], ID: c.segments[1], Name: c.segments[2], Format: "x"}
	if t.Validate() != nil {
		return 0, nil, notFound(fmt.Sprintf("a type, id or %s id that is not possible", kind))
	}
	rights, err := login()
	if err != nil {
		return 0, nil, err
	}
	c.begin()
	var ok bool
	if t.Format, ok = formatOf(c.Header.Get("Content-Type")); !ok {
		return 0, nil, &restError{status: http.StatusUnsupportedMediaType,
			message: "the Content-Type must be application/json, text/*, application/xml or application/octet-stream; other formats take MQTT"}
	}
	if err := c.readRaw(int64(c.p.maxPayload)); err != nil {
		return 0, nil, err
	}
	if err := c.room(); err != nil {
		return 0, nil, err
	}
	_, err = c.p.pass(rights, rights.ID.Name(t), c.body, 0)
	switch r, refused := errors.AsType[*wiotp.Refusal](err); {
	case !refused:
		return http.StatusOK, nil, nil
	case r.Code == wiotp.TooLarge:
		return 0, nil, &restError{status: http.StatusRequestEntityTooLarge, refusal: r}
	case r.Code == wiotp.ServerProblem, r.Code == wiotp.ServerUnavailable:
		return 0, nil, &restError{status: http.StatusServiceUnavailable, refusal: r}
	default:
		return 0, nil, &restError{status: http.StatusForbidden, refusal: r}
	}
}

// formatOf is the format of a topic for a Content-Type.
func formatOf(contentType string) (string, bool) {
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return "", false
	case media == "application/json":
		return "json", true
	case strings.HasPrefix(media, "text/"):
		return "text", true
	case media == "application/xml":
		return "xml", true
	case media == "application/octet-stream":
		return "bin", true
	}
	return "", false
}

// application lets an API key in. Here a login that fails is answered with 403, not 401.
func (c *call) application() (*wiotp.Rights, error) {
	name, token, _ := c.BasicAuth()
	key := apiKeyOf(name)
	u, ok := c.p.login(key, token)
	if !ok {
		return nil, badLoginHTTP(c.p.wrongKey(key))
	}
	return &wiotp.Rights{ID: wiotp.ClientID{Class: wiotp.Application, Org: c.p.org, App: "http"}, Role: u.role, Group: u.group}, nil
}

// deviceOrGateway lets a device in by its own token, and a gateway for itself and those behind it.
func (c *call) deviceOrGateway() (*wiotp.Rights, error) {
	name, token, _ := c.BasicAuth()
	id := wiotp.ClientID{Class: wiotp.Device, Org: c.p.org, Type: c.segments[0], ID: c.segments[1]}
	if name != wiotp.UseTokenAuth {
		parts := strings.SplitN(name, "/", 4)
		if !strings.HasPrefix(name, "g/") {
			parts = strings.SplitN(name, "-", 4)
			if rest, ok := strings.CutPrefix(name, "g-"+c.p.org+"-"); ok { // the organisation may have hyphens
				typ, dev, _ := strings.Cut(rest, "-")
				parts = []string{"g", c.p.org, typ, dev}
			}
		}
		if len(parts) != 4 || parts[0] != "g" {
			return nil, badLoginHTTP(&wiotp.Refusal{Rule: "class", Code: wiotp.NotAuthorized, Why: "the user name is neither use-token-auth nor that of a gateway, g/ORG/TYPE/ID"})
		}
		id = wiotp.ClientID{Class: wiotp.Gateway, Org: parts[1], Type: parts[2], ID: parts[3]}
	}
	gateway := c.p.registry.isGateway(id.Type)
	switch good := c.p.registry.deviceToken(id.Type, id.ID, token); {
	case !good || id.Org != c.p.org:
		return nil, badLoginHTTP(&wiotp.Refusal{Rule: "token", Code: wiotp.NotAuthorized, Why: "wrong token, or the device or gateway is not registered"})
	case gateway:
		id.Class = wiotp.Gateway // one that speaks for itself may use the form of devices
	case id.Class == wiotp.Gateway:
		return nil, badLoginHTTP(&wiotp.Refusal{Rule: "class", Code: wiotp.NotAuthorized, Why: fmt.Sprintf("%s/%s is not a gateway", id.Type, id.ID)})
	}
	return &wiotp.Rights{ID: id}, nil
}

// badLoginHTTP tells the client the same whatever was wrong: not which keys and devices there are.
func badLoginHTTP(r *wiotp.Refusal) error {
	return &restError{status: http.StatusForbidden, message: "not authenticated: no such API key, device or gateway, or another token", close: true,
		wrongLogin: true, refusal: r}
}

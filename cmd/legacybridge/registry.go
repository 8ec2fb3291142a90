package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"legacybridge/config"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

const registryPath = "/api/v0002"

// registryPace keeps below the ten calls a second that a hosted organisation may make.
const registryPace = 110 * time.Millisecond

// A registry is the platform's list of devices, over its REST interface. It is used by one goroutine.
type registry struct {
	base  string // up to /api/v0002
	key   string
	token wiotp.Token
	http  *http.Client
	pace  time.Duration
	last  time.Time
}

// errNoRegistry means that the configuration names none.
var errNoRegistry = errors.New("[platform.registry] is missing: add  registry = { url = …, api_key = …, token = … }  to [platform]")

// openRegistry is the registry of the configuration: that of [platform.registry], else the embedded platform's with the
// given key.
func openRegistry(cfg *config.Config, addr, key string, token wiotp.Token) (*registry, error) {
	r := &registry{base: strings.TrimSuffix(cfg.Registry.URL, "/"), key: cfg.Registry.Key, token: cfg.Registry.Token, pace: registryPace}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case r.base != "":
		if cfg.Platform.TLS != nil {
			secure.RootCAs = cfg.Platform.TLS.RootCAs
		}
	case cfg.Local:
		server, own, err := cfg.ReachLocal(addr)
		if err != nil {
			return nil, err
		}
		if own != nil {
			secure = own
		}
		r.base = strings.Replace(server, "mqtt", "http", 1) + registryPath
		r.key, r.token, r.pace = key, token, 0
	default:
		return nil, errNoRegistry
	}
	r.http = &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: withClock(secure, time.Now, buildTime(), lastKnown(cfg.Queue.Path, buildTime())), MaxIdleConnsPerHost: 1, IdleConnTimeout: 5 * time.Second},
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the key goes nowhere else
	}
	return r, nil
}

// commandRegistry is the registry for a command beside the service.
func commandRegistry(cfg *config.Config) (*registry, error) {
	key, token := cfg.Platform.User, cfg.Platform.Password
	if cfg.Registry.URL == "" && cfg.Local && key == "" {
		var err error
		if key, token, err = localKey(cfg); err != nil {
			return nil, err
		}
	}
	return openRegistry(cfg, cfg.LocalCfg.Listen, key, token)
}

func (r *registry) Close() { r.http.CloseIdleConnections() }

// A registryError is an answer of the registry that is not a success.
type registryError struct {
	status     int
	id         string // of the platform's exception
	message    string
	violations []string
	url        string
}

func (e *registryError) Error() string {
	var s string
	switch e.status {
	case http.StatusUnauthorized:
		s = "the registry does not know the api_key, or its token is wrong (401)"
	case http.StatusForbidden:
		s = "the registry lets this api_key in, but its role, devices or quota do not allow this (403)"
	default:
		s = fmt.Sprintf("the registry answers %d", e.status)
	}
	if e.message != "" {
		s += ": " + e.message
	}
	if e.id != "" && !strings.Contains(s, e.id) {
		s += " (" + e.id + ")"
	}
	for _, v := range e.violations {
		s += "; " + v
	}
	return s + " [" + e.url + "]"
}

// maxRegistryAnswer bounds what a server can make us read.
const maxRegistryAnswer = 4 << 20

// call makes one call. into may be nil.
func (r *registry) call(ctx context.Context, method, path string, body, into any) error {
	if wait := r.pace - time.Since(r.last); wait > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
	r.last = time.Now()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.SetBasicAuth(r.key, r.token.Reveal())
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return fmt.Errorf("the registry cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxRegistryAnswer))
	if err != nil {
		return fmt.Errorf("the registry's answer broke off: %w", err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return newRegistryError(resp.StatusCode, r.base+path, text)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s%s does not answer like a registry: is the url right, with /api/v0002 at its end?", r.base, path)
	}
	return nil
}

func newRegistryError(status int, url string, text []byte) *registryError {
	type exception struct {
		Message   string `json:"message"`
		Exception struct {
			ID string `json:"id"`
		} `json:"exception"`
		Violations []exception `json:"violations"`
	}
	e := &registryError{status: status, url: url}
	var x exception
	if json.Unmarshal(text, &x) == nil { // else it is no registry, or a proxy's page
		e.id, e.message = x.Exception.ID, x.Message
		for _, v := range x.Violations {
			e.violations = append(e.violations, v.Message)
		}
	}
	return e
}

// status is the HTTP status of an error of call, 0 if there was no answer.
func status(err error) int {
	if e, ok := errors.AsType[*registryError](err); ok {
		return e.status
	}
	return 0
}

func typePath(typ string) string { return "/device/types/" + url.PathEscape(typ) }

func devicePath(d localplatform.Device) string {
	return typePath(d.Type) + "/devices/" + url.PathEscape(d.ID)
}

// A registration says whether a device is registered; if not, whether its type is.
type registration string

const (
	registered     registration = "registered"
	missingDevice  registration = "device missing"
	missingType    registration = "type missing"
	missingUnclear registration = "missing" // the key may not look at types
)

// look asks for one device. 404 is the same for a missing type and a missing device: the type is then asked for.
func (r *registry) look(ctx context.Context, d localplatform.Device) (registration, error) {
	err := r.call(ctx, http.MethodGet, devicePath(d), nil, nil)
	if err == nil {
		return registered, nil
	}
	if status(err) != http.StatusNotFound {
		return "", err
	}
	switch err := r.call(ctx, http.MethodGet, typePath(d.Type), nil, nil); {
	case err == nil:
		return missingDevice, nil
	case status(err) == http.StatusNotFound:
		return missingType, nil
	case status(err) == http.StatusForbidden:
		return missingUnclear, nil
	default:
		return "", err
	}
}

// register makes a device, and its type if need be. One that is there already is fine. The token that the platform
// makes is thrown away: we speak for the device with our own key.
func (r *registry) register(ctx context.Context, d localplatform.Device) error {
	err := r.call(ctx, http.MethodPost, typePath(d.Type)+"/devices", map[string]any{"deviceId": d.ID, "metadata": map[string]any{"bridged": true}}, nil)
	if status(err) == http.StatusNotFound {
		err = r.call(ctx, http.MethodPost, "/device/types", map[string]any{"id": d.Type, "classId": "Device"}, nil)
		if err == nil || status(err) == http.StatusConflict {
			err = r.call(ctx, http.MethodPost, typePath(d.Type)+"/devices", map[string]any{"deviceId": d.ID, "metadata": map[string]any{"bridged": true}}, nil)
		}
	}
	if status(err) == http.StatusConflict {
		return nil
	}
	return err
}

// each calls f for every registered device, page by page.
func (r *registry) each(ctx context.Context, f func(localplatform.Device) error) error {
	for bookmark := ""; ; {
		var page struct {
			Results []struct {
				Type string `json:"typeId"`
				ID   string `json:"deviceId"`
			} `json:"results"`
			Bookmark string `json:"bookmark"`
		}
		path := "/bulk/devices?_limit=100"
		if bookmark != "" {
			path += "&_bookmark=" + url.QueryEscape(bookmark)
		}
		if err := r.call(ctx, http.MethodGet, path, nil, &page); err != nil {
			return err
		}
		for _, d := range page.Results {
			if err := f(localplatform.Device{Type: d.Type, ID: d.ID}); err != nil {
				return err
			}
		}
		if page.Bookmark == "" || page.Bookmark == bookmark || len(page.Results) == 0 {
			return nil
		}
		bookmark = page.Bookmark
	}
}

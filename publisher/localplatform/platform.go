// Package localplatform is the embedded platform: an MQTT broker that keeps the platform's rules. It is the only
// importer of mochi.
package localplatform

import (
	"context"
	"errors"
	"net"

	"legacybridge/publisher/wiotp"
)

// ErrBusy means that another process owns the store.
var ErrBusy = errors.New("another process owns this store")

// A Platform is a running broker.
type Platform struct{}

// Open takes the store, makes a key at first start, and listens. Run serves.
func Open(cfg Config) (*Platform, error) { return nil, errors.New("not built") }

// Addr is where it listens.
func (p *Platform) Addr() net.Addr { return nil }

// Key is the API key and token that legacybridge's own sessions use: the store's, or the first of Users.
func (p *Platform) Key() (apiKey string, token wiotp.Token) { return "", "" }

// Run serves until ctx is done, and gives listener and store back.
func (p *Platform) Run(ctx context.Context) error { return nil }

// ReadKey reads the key that Open keeps in a store folder, for other commands on this machine.
func ReadKey(store string) (apiKey string, token wiotp.Token, err error) {
	return "", "", errors.New("not built")
}

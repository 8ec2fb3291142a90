package localplatform

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"legacybridge/publisher/wiotp"
)

// inMemory is the Store that keeps nothing.
const inMemory = "memory"

const (
	keyFile  = "key.json"
	lockFile = "lock"
)

// A store is the platform's folder. The zero value is a store in memory.
type store struct {
	dir  string
	lock *os.File
}

// openStore makes the folder if need be and takes it for this process, until Close or its end.
func openStore(dir string) (*store, error) {
	if dir == inMemory {
		return &store{}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("platform store: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("platform store: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		return &store{dir: dir, lock: lock}, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = fmt.Errorf("platform store %s: %w", dir, ErrBusy)
	default:
		err = fmt.Errorf("platform store %s: lock: %w", dir, err)
	}
	return nil, errors.Join(err, lock.Close())
}

// Close gives the folder back.
func (s *store) Close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// load reads what the store kept, and registers the devices of the configuration.
func (p *Platform) load(dir string, devices []Device) (err error) {
	p.registry = newRegistry()
	if p.journal, err = openJournal(dir, p.log, p.replay); err != nil {
		return err
	}
	p.registry.journal = p.journal
	p.hub.open(p.journal)
	p.acker.journal = p.journal
	if err := p.registry.configure(devices); err != nil {
		return errors.Join(err, p.journal.Close())
	}
	return nil
}

// replay gives a record of the journal to its owner.
func (p *Platform) replay(kind byte, body []byte) error {
	if kind >= kindSession {
		return p.hub.replay(kind, body)
	}
	return p.registry.replay(kind, body)
}

// snapshot is all records of both owners.
func (p *Platform) snapshot(emit func(kind byte, body []byte)) {
	p.registry.snapshot(emit)
	p.hub.snapshot(emit)
}

// tend rewrites the journal when it has outgrown what it holds, forgets what is too old, and ends the platform when its
// disk has failed.
func (p *Platform) tend(ctx context.Context, end context.CancelFunc) {
	expire := time.NewTicker(expireEvery)
	defer expire.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-expire.C:
			p.hub.expire(now)
			continue
		case <-p.journal.failed():
			end()
			return
		case <-p.journal.bloated():
		}
		err := p.journal.compact(p.snapshot)
		if err == nil {
			continue
		}
		p.log.Warn("the platform's store could not be rewritten, it goes on growing; will retry", "file", p.journal.path(), "err", err, "dur", compactPause)
		select {
		case <-ctx.Done():
		case <-p.journal.failed():
		case <-time.After(compactPause):
		}
	}
}

// expireEvery is fine enough for what is kept a day.
const expireEvery = time.Minute

// compactPause follows a snapshot that could not be written, mostly because the disk is full.
const compactPause = time.Minute

// room waits until what the client of c asks for may be written, see journal.room.
func (p *Platform) room(ctx context.Context, c *conn) error {
	err := p.journal.room(ctx, c.gone)
	if err == nil || errors.Is(err, net.ErrClosed) {
		return err
	}
	return &wiotp.Refusal{Rule: "store", Code: wiotp.ServerProblem, Why: "the platform cannot keep messages: " + err.Error()}
}

// roomForLogin is room for what comes with a login: a session, status, a will. It waits a moment only.
func (p *Platform) roomForLogin(ctx context.Context, c *conn) error {
	ctx, cancel := context.WithTimeout(ctx, repayWait)
	defer cancel()
	if p.journal.room(ctx, c.gone) == nil {
		return nil
	}
	return &wiotp.Refusal{Rule: "store", Code: wiotp.ServerUnavailable, Connack: wiotp.ConnackUnavailable, Why: "the platform's disk is full or has failed"}
}

// closeStore gives the folder back after what was written is kept. Its error tells whether it was.
func (p *Platform) closeStore() error {
	return errors.Join(p.journal.Close(), p.store.Close())
}

// key is what legacybridge's own sessions log in with. Without configured users it is the store's, made now if there
// is none.
func (s *store) key(cfg Config) (string, wiotp.Token, error) {
	if len(cfg.Users) > 0 || s.dir != "" {
		apiKey, token, err := OwnKey(cfg)
		switch {
		case err == nil:
			if err := wiotp.CheckAPIKey(apiKey, cfg.Org); err != nil && len(cfg.Users) == 0 {
				return "", "", fmt.Errorf("%s was made for another organisation; remove it and a new one is made: %w", filepath.Join(s.dir, keyFile), err)
			}
			return apiKey, token, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", "", err
		}
	}
	k := key{APIKey: wiotp.APIKey(cfg.Org, strings.ToLower(rand.Text()[:10])), Token: rand.Text()}
	if s.dir != "" {
		if err := k.write(s.dir); err != nil {
			return "", "", fmt.Errorf("platform key: %w", err)
		}
	}
	return k.APIKey, wiotp.Token(k.Token), nil
}

// A key is the content of key.json. Its token is only letters and digits, so that no shell needs quotes around it.
type key struct {
	APIKey string `json:"api_key"`
	Token  string `json:"token"`
}

// OwnKey is the API key and token that legacybridge's own sessions use: the first of Users that may do all that they do,
// else what Open keeps in the store, for other commands on this machine.
func OwnKey(cfg Config) (apiKey string, token wiotp.Token, err error) {
	if len(cfg.Users) == 0 {
		return ReadKey(cfg.Store)
	}
	keys := slices.Sorted(maps.Keys(cfg.Users))
	first := keys[max(0, slices.IndexFunc(keys, func(k string) bool { return cfg.Users[k].mayAll() }))]
	return first, cfg.Users[first].Token, nil
}

// ReadKey reads the key that Open keeps in a store folder.
func ReadKey(store string) (apiKey string, token wiotp.Token, err error) {
	path := filepath.Join(store, keyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("no platform key yet, it is made when the platform first starts on this store: %w", err)
	}
	if err != nil {
		return "", "", fmt.Errorf("platform key: %w", err)
	}
	var k key
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&k); err != nil {
		// The cause is not quoted: it might hold a piece of the token.
		return "", "", fmt.Errorf("%s is damaged; remove it and a new key is made", path)
	}
	if k.APIKey == "" || wiotp.CheckToken(wiotp.Token(k.Token)) != nil {
		return "", "", fmt.Errorf("%s holds no usable api_key and token; remove it and a new key is made", path)
	}
	return k.APIKey, wiotp.Token(k.Token), nil
}

// write puts the key into dir so that a power cut leaves either no key or a whole one.
func (k key) write(dir string) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, keyFile+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, keyFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

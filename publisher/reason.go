package publisher

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"legacybridge/publisher/wiotp"
)

// reasonWait is how long the reason of a closed connection is waited for: the platform sends it as it closes.
const reasonWait = 2 * time.Second

// reasons is a further session that hears why the platform ends another one of ours: MQTT 3.1.1 has no place for it on the
// wire, but the platform tells it on iot-2/app/APP/mon. Where that may not be heard, reasons stay unknown and nothing
// is said about it. nil knows none. Its methods may be called concurrently.
type reasons struct {
	cfg   Config
	of    string // client id of the session
	app   string
	dial  dialer
	ready chan struct{} // closed once it hears, or cannot
	once  sync.Once

	mu      sync.Mutex
	up      bool          // it is connected
	over    bool          // listen has ended…
	refused bool          // …and will not do better another time
	told    chan struct{} // closed once code is why the session ended, and made anew by forget
	known   bool
	code    wiotp.CloseCode
}

// newReasons is nil where nobody would tell.
func newReasons(cfg Config) *reasons {
	id, ours := cfg.platformID()
	if !ours || cfg.ReasonID == "" || !id.Class.IsApplication() {
		return nil
	}
	of := cfg.ClientID
	cfg.ClientID, cfg.KeepSession = cfg.ReasonID, false
	cfg.Log, cfg.Report = slog.New(slog.DiscardHandler), nil
	return &reasons{cfg: cfg, of: of, app: id.App, dial: dialTCP, ready: make(chan struct{}), told: make(chan struct{})}
}

// platformID is the client id taken apart; ours is false where the server is not of the platform's kind.
func (cfg Config) platformID() (id wiotp.ClientID, ours bool) {
	if cfg.Topic != "" && cfg.Topic != DefaultTopic {
		return id, false
	}
	id, err := wiotp.ParseClientID(cfg.ClientID)
	return id, err == nil
}

// listen hears until ctx is done, or until it is refused.
func (r *reasons) listen(ctx context.Context) {
	defer r.settled()
	cfg := r.cfg
	cfg.Report = func(s State) {
		r.mu.Lock()
		r.up = s.Connected
		r.mu.Unlock()
		if s.Connected {
			r.settled()
		}
	}
	w, err := newWatcher(cfg, []string{wiotp.Filter{Kind: wiotp.AppStatus, App: r.app}.String()}, r.take)
	if err != nil {
		return
	}
	w.dial = r.dial
	err = w.run(ctx) // refused or unreachable: then nothing is known
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := errors.AsType[*Failure](err)
	r.over, r.refused = true, ok && (f.Code == codeFilter || f.Connack != 0 && f.Code != codeUnavailable)
}

// ended says that nobody listens any more, and whether it is of no use to try again.
func (r *reasons) ended() (over, refused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over, r.refused
}

// hears says whether a reason told now would be heard.
func (r *reasons) hears() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.up
}

func (r *reasons) settled() { r.once.Do(func() { close(r.ready) }) }

func (r *reasons) take(m Message) {
	s, err := wiotp.ParseStatus(m.Payload)
	if err != nil || m.Retained || s.Action != wiotp.Disconnected || s.ClientID != r.of {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.code = s.CloseCode; !r.known {
		r.known = true
		close(r.told)
	}
}

// forget what is known of the session before, as one begins.
func (r *reasons) forget() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known {
		r.code, r.known, r.told = 0, false, make(chan struct{})
	}
}

// await returns once the reasons can be heard, or never will.
func (r *reasons) await(ctx context.Context) {
	if r == nil {
		return
	}
	limit := time.NewTimer(reasonWait)
	defer limit.Stop()
	select {
	case <-r.ready:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// why the session ended, if the platform tells it soon.
func (r *reasons) why(ctx context.Context) (code wiotp.CloseCode, known bool) {
	if r == nil {
		return 0, false
	}
	r.mu.Lock()
	told := r.told
	r.mu.Unlock()
	limit := time.NewTimer(reasonWait)
	defer limit.Stop()
	select {
	case <-told:
	case <-limit.C:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.code, r.known
}

// explain says in words what a refusal can mean, "" where the server is not of the platform's kind.
func (cfg Config) explain(t wiotp.Turndown, srv server) string {
	id, ours := cfg.platformID()
	if !ours {
		return ""
	}
	t.ID, t.CleanSession, t.TLS, t.MaxPayload = id, !cfg.KeepSession, srv.tls, cfg.MaxPayload
	return t.String()
}

// loginRefused adds what a refused login can mean.
func (cfg Config) loginRefused(err error, srv server) error {
	f, ok := errors.AsType[*Failure](err)
	if !ok || f.Connack == 0 {
		return err
	}
	if why := cfg.explain(wiotp.Turndown{Deed: wiotp.LoggedIn, Connack: f.Connack}, srv); why != "" {
		f.Why = "login refused: " + why
	}
	return f
}

// closedBecause is the failure of a connection that the server closed. Without a reason there is only what it can mean,
// or otherwise where the server is not of the platform's kind.
func (cfg Config) closedBecause(ctx context.Context, srv server, r *reasons, t wiotp.Turndown, otherwise string) *Failure {
	f := &Failure{Code: codeClosed, Server: srv.addr, Why: "the server closed the connection: " + otherwise}
	if t.Code, t.HasCode = r.why(ctx); t.HasCode && t.Code.Advice() == wiotp.NotThis && t.Deed != wiotp.Published {
		f.Code = codeFilter
	}
	if why := cfg.explain(t, srv); why != "" {
		f.Why = "the platform closed the connection: " + why
	}
	return f
}

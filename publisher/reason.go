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

// reasons is a further session that hears why the platform ends sessions of ours: MQTT 3.1.1 has no place for it on the
// wire, but the platform tells it on iot-2/app/APP/mon. Where that may not be heard, reasons stay unknown and nothing
// is said about it. nil knows none. Its methods may be called concurrently.
type reasons struct {
	cfg   Config
	app   string
	dial  dialer
	ready chan struct{} // closed once it hears, or cannot
	once  sync.Once

	mu    sync.Mutex
	up    bool                       // it is connected
	ended map[string]wiotp.CloseCode // by client id, since forget
	news  chan struct{}              // closed and made anew at each entry of ended
}

// newReasons is nil where nobody would tell.
func newReasons(cfg Config) *reasons {
	id, ours := cfg.platformID()
	if !ours || cfg.ReasonID == "" || !id.Class.IsApplication() {
		return nil
	}
	cfg.ClientID, cfg.KeepSession = cfg.ReasonID, false
	cfg.Log, cfg.Report = slog.New(slog.DiscardHandler), nil
	return &reasons{cfg: cfg, app: id.App, dial: dialTCP, ready: make(chan struct{}), ended: map[string]wiotp.CloseCode{}, news: make(chan struct{})}
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
	_ = w.run(ctx) // refused or unreachable: then nothing is known
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
	if err != nil || m.Retained || s.Action != wiotp.Disconnected {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ended) < 16 { // there are no more sessions of ours
		r.ended[s.ClientID] = s.CloseCode
	}
	close(r.news)
	r.news = make(chan struct{})
}

// forget what is known of the sessions of a client id, as one begins.
func (r *reasons) forget(id string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ended, id)
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

// why the session of a client id ended, if the platform tells it soon.
func (r *reasons) why(ctx context.Context, id string) (code wiotp.CloseCode, known bool) {
	if r == nil {
		return 0, false
	}
	limit := time.NewTimer(reasonWait)
	defer limit.Stop()
	for {
		r.mu.Lock()
		code, known = r.ended[id]
		news := r.news
		r.mu.Unlock()
		if known {
			return code, true
		}
		select {
		case <-news:
		case <-limit.C:
			return 0, false
		case <-ctx.Done():
			return 0, false
		}
	}
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
	if t.Code, t.HasCode = r.why(ctx, cfg.ClientID); t.HasCode && t.Code.Advice() == wiotp.NotThis && t.Deed != wiotp.Published {
		f.Code = codeFilter
	}
	if why := cfg.explain(t, srv); why != "" {
		f.Why = "the platform closed the connection: " + why
	}
	return f
}

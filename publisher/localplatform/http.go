package localplatform

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"legacybridge/publisher/wiotp"
)

// Bounds on HTTP clients, beside those on all connections.
const (
	maxHTTP        = 128              // connections; one that waits makes room for a new one
	httpIdle       = 30 * time.Second // between two requests of a connection
	httpWholeCall  = 30 * time.Second // a request with its body
	httpAnswerTime = time.Minute      // from the end of the header to the end of the answer
	maxHTTPHeader  = 16 << 10         // bytes; the library adds 4 KiB
)

// web is the HTTP side of the listener: connections whose first byte is a letter come here, the library's server reads
// them, rest.go answers.
type web struct {
	p      *Platform
	server *http.Server
	conns  chan *webConn // to the server's Accept
	ended  chan struct{}

	mu    sync.Mutex
	open  []*webConn // oldest first
	close sync.Once
}

// A webConn is an HTTP client's socket.
type webConn struct {
	net.Conn
	r    io.Reader // has the first bytes, which were read to tell HTTP from MQTT
	host string
	addr netip.Addr
	gone chan struct{} // closed when the server has let go

	busy bool // a request with good credentials is being answered; guarded by web.mu

	// Of the first request; a connection must not change it. One request at a time is served.
	asked         bool
	authorization [sha256.Size]byte
}

func newWeb(p *Platform) *web {
	w := &web{p: p, conns: make(chan *webConn), ended: make(chan struct{})}
	w.server = &http.Server{
		Handler:           w,
		ReadHeaderTimeout: p.loginWait,
		ReadTimeout:       httpWholeCall,
		WriteTimeout:      httpAnswerTime,
		IdleTimeout:       httpIdle,
		MaxHeaderBytes:    maxHTTPHeader,

		DisableGeneralOptionsHandler: true,

		ErrorLog: log.New(io.Discard, "", 0), // what strangers send must not fill our log
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(c.(*webConn).gone)
			}
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, webConnKey{}, c) },
	}
	return w
}

type webConnKey struct{}

// isHTTP tells an HTTP request, which begins with its method, from an MQTT login.
func isHTTP(first byte) bool { return first >= 'A' && first <= 'Z' }

// run serves until stop.
func (w *web) run() {
	_ = w.server.Serve(w) // it ends with our own Close
}

// stop ends every connection; whoever called serve is released.
func (w *web) stop() {
	w.close.Do(func() { close(w.ended) })
	_ = w.server.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close()
	}
}

// serve takes a connection, and returns when the server has let go of it.
func (w *web) serve(nc *conn) {
	c := &webConn{Conn: nc.Conn, r: nc.r, host: nc.host, addr: nc.addr, gone: make(chan struct{})}
	if !w.enter(c) {
		_ = c.SetWriteDeadline(time.Now().Add(closeGrace))
		_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		w.p.refusals.request(c.host, http.StatusServiceUnavailable, &wiotp.Refusal{Rule: "connections", Code: wiotp.TooManyConns, Why: "too many HTTP connections at work"})
		return
	}
	defer w.leave(c)
	select {
	case w.conns <- c:
		<-c.gone
	case <-w.ended:
	}
}

// enter makes room for c: of the connections that are idle or have not proved themselves, the oldest of the address that
// has most of them goes.
func (w *web) enter(c *webConn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.open) >= maxHTTP {
		idle := make([]*webConn, 0, maxHTTP)
		for _, c := range w.open {
			if !c.busy {
				idle = append(idle, c)
			}
		}
		if len(idle) == 0 {
			return false
		}
		i := slices.Index(w.open, idle[crowded(len(idle), func(i int) netip.Addr { return idle[i].addr })])
		_ = w.open[i].Close()
		w.open = slices.Delete(w.open, i, i+1)
	}
	w.open = append(w.open, c)
	return true
}

func (w *web) leave(c *webConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.open, c); i >= 0 {
		w.open = slices.Delete(w.open, i, i+1)
	}
}

func (w *web) setBusy(c *webConn, busy bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.busy = busy
}

// Accept, Close and Addr make w the listener of its own server.
func (w *web) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.ended:
		return nil, net.ErrClosed
	}
}

func (w *web) Close() error   { return nil }
func (w *web) Addr() net.Addr { return w.p.listener.Addr() }

func (c *webConn) Read(b []byte) (int, error) { return c.r.Read(b) }

// sameAuthorization holds the rule that a connection belongs to one client.
func (c *webConn) sameAuthorization(r *http.Request) bool {
	digest := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	if !c.asked {
		c.asked, c.authorization = true, digest
	}
	return c.authorization == digest
}

// ServeHTTP answers one request.
func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	defer func() {
		if bug := recover(); bug != nil { // the library would hide it, see ErrorLog
			w.p.log.Error("an HTTP request was not answered; this is our bug, please report it", "err", bug, "stack", string(debug.Stack()))
			panic(http.ErrAbortHandler)
		}
	}()
	c := r.Context().Value(webConnKey{}).(*webConn)
	h := rw.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	call := &call{Request: r, p: w.p, rw: rw, begin: func() { w.setBusy(c, true) }}
	defer w.setBusy(c, false)
	var status int
	var reply any
	var err error
	if !c.sameAuthorization(r) {
		err = &restError{status: http.StatusForbidden, close: true,
			refusal: &wiotp.Refusal{Rule: "http", Code: wiotp.AuthorizationHTTP, Why: "the Authorization header changed within one connection; open a connection for each client"}}
	} else if _, _, claims := r.BasicAuth(); claims && !w.p.slow.wait(r.Context(), c.addr, nil) {
		return // the connection has gone meanwhile
	} else {
		status, reply, err = call.answer()
	}
	if err != nil {
		e := asRestError(err)
		status, reply = e.status, e.body()
		e.headers(h)
		if _, _, claims := r.BasicAuth(); claims && e.wrongLogin { // the first request of a browser claims nothing
			w.p.wrongLogin(c.host, c.addr)
		}
		if e.refusal != nil {
			w.p.refused.Add(1)
			w.p.refusals.request(c.host, status, e.refusal)
		}
	}
	writeJSON(rw, status, reply)
}

// asRestError is how an error is told to the client: what has no status is ours.
func asRestError(err error) *restError {
	if e, ok := errors.AsType[*restError](err); ok {
		return e
	}
	return &restError{status: http.StatusInternalServerError, message: err.Error(), close: true}
}

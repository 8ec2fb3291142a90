package publisher

import (
	"net"
	"sync"
	"testing"
	"time"
)

// faultProxy passes TCP connections on to a server and spoils them: the faults that netem would make, for machines that do
// not have it. What is set holds for connections that stand and for new ones; half-open is for those that stand.
type faultProxy struct {
	server string // mqtt://… to connect to
	to     string
	links  sync.WaitGroup

	mu        sync.Mutex
	latency   time.Duration // of each direction
	bandwidth int           // bytes a second; 0: all there is
	drip      bool          // byte by byte
	stalled   chan struct{} // nothing passes until it is closed; nil: not stalled
	open      map[*proxied]bool
	accepted  int
}

// proxied is one connection through the proxy.
type proxied struct {
	*faultProxy
	client, server net.Conn
	gone           chan struct{} // closed with both
	once           sync.Once
	black          bool // half-open: what the client says is lost, and nobody answers
}

func newFaultProxy(t *testing.T, to string) *faultProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &faultProxy{server: "mqtt://" + l.Addr().String(), to: to, open: map[*proxied]bool{}}
	f.links.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.links.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		f.calm()
		f.cut()
		f.links.Wait()
	})
	return f
}

func (f *faultProxy) serve(c net.Conn) {
	s, err := net.Dial("tcp", f.to)
	if err != nil { // the server is down: so are we
		_ = c.Close()
		return
	}
	p := &proxied{faultProxy: f, client: c, server: s, gone: make(chan struct{})}
	f.mu.Lock()
	f.open[p] = true
	f.accepted++
	f.mu.Unlock()
	var ways sync.WaitGroup
	ways.Go(func() { p.pass(s, c) })
	ways.Go(func() { p.pass(c, s) })
	ways.Wait()
	f.mu.Lock()
	delete(f.open, p)
	f.mu.Unlock()
}

// chunk is what came at once.
type proxyChunk struct {
	data []byte
	at   time.Time
}

// pass takes bytes from one side to the other, late, slowly, or not at all.
func (p *proxied) pass(to, from net.Conn) {
	defer p.end()
	under := make(chan proxyChunk, 64)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(under)
		for {
			buf := make([]byte, 4096)
			n, err := from.Read(buf)
			if n > 0 {
				select {
				case under <- proxyChunk{buf[:n], time.Now()}:
				case <-p.gone:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	defer reader.Wait()
	defer p.end()
	for chunk := range under {
		p.mu.Lock()
		stalled, latency, bandwidth, drip, black := p.stalled, p.latency, p.bandwidth, p.drip, p.black
		p.mu.Unlock()
		if stalled != nil {
			select {
			case <-stalled:
			case <-p.gone:
				return
			}
		}
		if black {
			continue
		}
		step := len(chunk.data)
		if drip {
			step = 1
		}
		p.wait(latency - time.Since(chunk.at))
		for ; len(chunk.data) > 0; chunk.data = chunk.data[step:] {
			step = min(step, len(chunk.data))
			if _, err := to.Write(chunk.data[:step]); err != nil {
				return
			}
			if bandwidth > 0 {
				p.wait(time.Duration(step) * time.Second / time.Duration(bandwidth))
			}
		}
	}
}

// wait lets d pass, or the connection end.
func (p *proxied) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.gone:
	}
}

func (p *proxied) end() {
	p.once.Do(func() {
		close(p.gone)
		_ = p.client.Close()
		_ = p.server.Close()
	})
}

// set changes how bytes pass.
func (f *faultProxy) set(latency time.Duration, bandwidth int, drip bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency, f.bandwidth, f.drip = latency, bandwidth, drip
}

// stall lets nothing pass any more; the proxy takes what fits its buffers.
func (f *faultProxy) stall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stalled == nil {
		f.stalled = make(chan struct{})
	}
}

// calm ends a stall.
func (f *faultProxy) calm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stalled != nil {
		close(f.stalled)
		f.stalled = nil
	}
}

func (f *faultProxy) each(do func(p *proxied)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.open {
		do(p)
	}
}

// cut closes what stands, as an orderly peer does; in the middle of a packet if need be.
func (f *faultProxy) cut() { f.each((*proxied).end) }

// reset closes what stands with a RST, which may overtake what was sent.
func (f *faultProxy) reset() {
	f.each(func(p *proxied) {
		_ = p.client.(*net.TCPConn).SetLinger(0)
		_ = p.server.(*net.TCPConn).SetLinger(0)
		p.end()
	})
}

// halfOpen loses what the client of a standing connection says, and the server says no more.
func (f *faultProxy) halfOpen() { f.each(func(p *proxied) { p.black = true }) }

func (f *faultProxy) connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted
}

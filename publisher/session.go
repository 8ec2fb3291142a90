package publisher

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"legacybridge/publisher/wiotp"
)

const (
	loginTime = 10 * time.Second // for the connection with its TLS, and again for the answer to the login
	// handOver is how long a publish may wait for paho. The wire takes everything at once, so it is reached only where
	// the connection ends in just that moment; it must stay well below the 5 s in which a stop has to end.
	handOver = 2 * time.Second
	// pingTime and paho's look every 5 s make a dead idle connection known within keepalive and 10 s. It is less than the
	// 5 s, for at the look after a ping a little less has passed.
	pingTime = 4 * time.Second
	// everPing is for a session that publishes: a ping may wait behind megabytes for a throttled server, and what
	// silence means is judged by what is in flight.
	everPing = 24 * time.Hour
	// deadPeer is after how long without any sign of the peer, or with its window shut, the kernel gives a connection up.
	// Half-open ones have to be found within 30 s; a throttled server opens its window every 10 s.
	deadPeer = 25 * time.Second
	// unsentKernel is how much the kernel takes from us ahead of what the network takes: else megabytes of a slow link would
	// look like sent, and nobody could tell it from a dead one.
	unsentKernel = 32 << 10
	windUp       = 5 * time.Second // for paho's goroutines at the end of a connection; they need milliseconds
)

// A Message is what a subscriber receives.
type Message struct {
	Topic    string
	Payload  []byte
	QoS      byte
	Retained bool
	Dup      bool      // the server has sent it before
	Time     time.Time // when it came

	ack func() // where acknowledgements wait for it, else nil
}

// server is one address of Config.Servers.
type server struct {
	addr string // host:port
	host string
	tls  bool
}

func parseServer(text string) (server, error) {
	// The text may hold a password in a place where it does not belong, so that no error repeats it.
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return server{}, errors.New("not an address like mqtts://host:8883")
	case u.User != nil:
		return server{}, errors.New("no user or password in the address: they are platform.api_key and platform.token")
	case u.Scheme != "mqtt" && u.Scheme != "mqtts":
		return server{}, fmt.Errorf("an address begins with mqtt:// or mqtts://, not %s://", u.Scheme)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return server{}, errors.New("nothing can follow host and port")
	}
	port := u.Port()
	if port == "" && u.Scheme == "mqtt" {
		port = "1883"
	} else if port == "" {
		port = "8883"
	}
	return server{addr: net.JoinHostPort(u.Hostname(), port), host: u.Hostname(), tls: u.Scheme == "mqtts"}, nil
}

func parseServers(texts []string) ([]server, error) {
	if len(texts) == 0 {
		return nil, errors.New("no server to publish to")
	}
	servers := make([]server, len(texts))
	for i, text := range texts {
		var err error
		if servers[i], err = parseServer(text); err != nil {
			return nil, fmt.Errorf("server %d: %w", i+1, err)
		}
	}
	return servers, nil
}

// A dialer opens the TCP connection to a server.
type dialer func(ctx context.Context, addr string) (net.Conn, error)

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Control: tune(deadPeer, unsentKernel)}
	return d.DialContext(ctx, "tcp", addr)
}

// session is one MQTT connection, with a paho client of its own in the one configuration that does not lie: a clean
// session (whatever the wire makes of it, see keepSession), no reconnecting, no store. In it a publish token is done without an error only when the acknowledgement came
// (or, with QoS 0, when the wire took the event). One goroutine uses it.
type session struct {
	client mqtt.Client
	wire   *wire
	server server
	most   byte // QoS to subscribe with
	since  time.Time
	ended  chan error // paho has wound up after a loss: why
	ends   time.Time  // of the server's certificate; zero without TLS

	begun, handled atomic.Uint64 // messages given to their handler, and taken by it
}

// token is done when the server has acknowledged, or the connection has ended.
type token interface {
	Done() <-chan struct{}
	Error() error
}

// open connects and logs in to one server. Its error is a *Failure, or ctx's. It subscribes to nothing yet; receive
// gets what comes for as many filters, one call at a time, and must not block after the session has ended.
func open(ctx context.Context, cfg Config, srv server, dial dialer, filters int, receive func(Message)) (*session, error) {
	conn, under, err := connect(ctx, cfg, srv, dial)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, dialFailure(srv, err)
	}
	// Room for the largest event with its topic on the way in, and for a few on the way out.
	maxPacket := cfg.MaxPayload + wiotp.MaxTopic + 4
	w := newWire(conn, under, newGuard(filters, maxPacket), 2*(unsentMark+maxPacket))
	w.keep = cfg.KeepSession

	s := &session{wire: w, server: srv, most: 2, ended: make(chan error, 1)}
	if cfg.ackLate {
		s.most = 1 // with 2 a packet id of an earlier connection would be taken for a repeat
	}
	ping := everPing
	if filters > 0 {
		ping = pingTime
	}
	s.client = mqtt.NewClient(s.options(cfg, ping, receive))
	stop := context.AfterFunc(ctx, func() { _ = w.fail(ctx.Err()) })
	defer stop()
	login := s.client.Connect().(*mqtt.ConnectToken)
	<-login.Done()
	if err := login.Error(); err != nil {
		_ = w.fail(errEnded)
		_ = w.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, cfg.loginRefused(loginFailure(srv, login.ReturnCode(), w.cause()), srv)
	}
	s.since = time.Now()
	if over, ok := conn.(*tls.Conn); ok {
		s.ends = over.ConnectionState().PeerCertificates[0].NotAfter
	}
	return s, nil
}

// connect opens a TCP connection, and TLS over it where the server wants it.
func connect(ctx context.Context, cfg Config, srv server, dial dialer) (net.Conn, *stream, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	raw, err := dial(ctx, srv.addr)
	if err != nil {
		return nil, nil, err
	}
	under := newStream(raw)
	if !srv.tls {
		return under, under, nil
	}
	secure := &tls.Config{}
	if cfg.TLS != nil {
		secure = cfg.TLS.Clone()
	}
	secure.MinVersion = max(secure.MinVersion, tls.VersionTLS12)
	if secure.ServerName == "" {
		secure.ServerName = srv.host // SNI: the platform routes by it
	}
	over := tls.Client(under, secure)
	if err := over.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, nil, &handshakeError{err}
	}
	return over, under, nil
}

func (s *session) options(cfg Config, ping time.Duration, receive func(Message)) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker("tcp://" + s.server.addr). // only a name: the wire is open
										SetClientID(cfg.ClientID).SetUsername(cfg.User).SetPassword(cfg.Password.Reveal()).
										SetProtocolVersion(4). // else a refused login is tried again as MQTT 3.1
										SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).SetStore(noStore{}).
										SetOrderMatters(true). // one call of the handler at a time
										SetAutoAckDisabled(cfg.ackLate).
										SetKeepAlive(cfg.KeepAlive).SetPingTimeout(ping).
										SetWriteTimeout(handOver).SetConnectTimeout(loginTime).
										SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return s.wire, nil }).
										SetConnectionLostHandler(func(_ mqtt.Client, err error) { s.ended <- err }).
										SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			if receive != nil {
				got := Message{Topic: m.Topic(), Payload: m.Payload(), QoS: m.Qos(), Retained: m.Retained(), Dup: m.Duplicate(), Time: time.Now()}
				if cfg.ackLate {
					got.ack = m.Ack
				}
				s.begun.Add(1)
				receive(got)
				s.handled.Add(1)
			}
		})
}

// publish hands one event to the connection. Retained is never set: the platform clears it.
func (s *session) publish(topic string, qos byte, payload []byte) token {
	return s.client.Publish(topic, qos, false, payload)
}

// subscribe asks for filters at the highest QoS that the session takes and waits for the answer.
func (s *session) subscribe(ctx context.Context, filters []string) error {
	ask := make(map[string]byte, len(filters))
	for _, f := range filters {
		ask[f] = s.most
	}
	t := s.client.SubscribeMultiple(ask, nil).(*mqtt.SubscribeToken)
	timeout := time.NewTimer(loginTime)
	defer timeout.Stop()
	for before, waiting := s.handled.Load(), true; waiting; {
		select {
		case <-t.Done():
			waiting = false
		case <-s.gone():
			return s.wire.cause()
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			now := s.handled.Load()
			if now == before && s.begun.Load() == now {
				return &Failure{Code: codeSilent, Server: s.server.addr, Why: "no answer to the subscription"}
			}
			before = now // the answer comes behind what was kept for us
			timeout.Reset(loginTime)
		}
	}
	if err := t.Error(); err != nil {
		return err
	}
	for f, code := range t.Result() {
		if code > 2 {
			return &Failure{Code: codeFilter, Server: s.server.addr, Why: fmt.Sprintf("the server refuses the subscription to %s", f)}
		}
	}
	return nil
}

// gone is closed when the connection has ended. Tokens may be completed until lost or close has returned.
func (s *session) gone() <-chan struct{} { return s.wire.gone }

// lost ends the connection for the given reason, unless it has ended before, and returns why it ended. After it every
// token is done.
func (s *session) lost(err error) error {
	err = s.wire.fail(err)
	_ = s.wire.Close()
	timeout := time.NewTimer(windUp)
	defer timeout.Stop()
	select {
	case said := <-s.ended:
		if errors.Is(err, errEnded) { // paho closed the connection: only it knows why
			err = said
		}
	case <-timeout.C:
	}
	return err
}

// close logs out and ends the connection, in about a second at most.
func (s *session) close() {
	s.client.Disconnect(uint(closePatience.Milliseconds()))
	_ = s.wire.fail(errEnded)
	_ = s.wire.Close()
}

// noStore keeps nothing, so that paho never sends anything a second time: the queue does.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}

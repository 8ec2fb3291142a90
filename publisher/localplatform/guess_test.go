package localplatform_test

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

// dialFrom connects from another address of this machine.
func dialFrom(t testing.TB, s *site, from string) *raw {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	nc, err := d.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &raw{t: t, Conn: nc, r: bufio.NewReaderSize(nc, 64<<10)}
}

// guess logs in ten times with a wrong token.
func guess(t *testing.T, s *site) {
	t.Helper()
	for i := range 10 {
		l := own(s, fmt.Sprintf("a:legacy:guess%d", i))
		l.password += "x"
		if i%3 == 0 {
			l.user = "a-legacy-unknown"
		}
		refused(t, s, l, 5)
	}
	s.log.wait(t, "rule=slowdown", "code=176", "addr=127.0.0.1")
}

func TestWrongLoginsSlowDownTheirAddressAndNoOther(t *testing.T) {
	s := start(t, nil)
	inside := login(t, s, "inside")
	guess(t, s)
	if got := s.Slowdown("127.0.0.2"); got != 0 {
		t.Errorf("got %v for another address, want none", got)
	}
	other := dialFrom(t, s, "127.0.0.2")
	other.send(own(s, "a:legacy:other").bytes())
	other.want(0x20, 2, 0, 0)
	inside.ping() // what is connected is not slowed down

	if got := s.Slowdown("127.0.0.1"); got != 250*time.Millisecond {
		t.Fatalf("got %v, want 250ms", got)
	}
	began := time.Now()
	login(t, s, "good") // from the same address: it waits, and gets in
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("got in after %v, want it to wait", took)
	}
	began = time.Now()
	l := own(s, "a:legacy:guess")
	l.password += "x"
	refused(t, s, l, 5)
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("got the answer to a wrong login after %v, want it to wait like a good one", took)
	}
	if got := s.Slowdown("127.0.0.1"); got != 500*time.Millisecond {
		t.Errorf("got %v after one more, want 500ms", got)
	}
}

// Guessing over many connections at once is no way round the wait, and keeps nobody out.
func TestManyGuessesAtOnce(t *testing.T) {
	s := start(t, nil)
	guess(t, s)
	for range 3 { // up to two seconds
		s.WrongLogin("127.0.0.1")
	}
	wrong := own(s, "a:legacy:guess")
	wrong.password += "x"
	var all []*raw
	for range localplatform.MaxWaiting + 10 {
		c := dial(t, s)
		c.send(wrong.bytes())
		all = append(all, c)
	}
	other := dialFrom(t, s, "127.0.0.2")
	other.send(own(s, "a:legacy:other").bytes())
	other.want(0x20, 2, 0, 0)
	counts := map[byte]int{}
	for _, c := range all {
		first, body, err := c.next()
		if err != nil || first != 0x20 {
			t.Fatalf("got %x, %v, want CONNACK", first, err)
		}
		counts[body[1]]++
	}
	if counts[3] < 10 || counts[3]+counts[5] != len(all) {
		t.Errorf("got %v, want 3 for those beyond %d, 5 for the others", counts, localplatform.MaxWaiting)
	}
	if lines := s.log.find("msg=login refused", "addr=127.0.0.1"); len(lines) > 10+3 {
		t.Errorf("got %d lines, want those of a crowd folded", len(lines))
	}
}

func TestSilentCrowdPushesOutItself(t *testing.T) {
	s := start(t, nil)
	s.SetLoginWait(time.Hour)
	lone := dialFrom(t, s, "127.0.0.2") // came first, and takes its time
	var crowd []*raw
	for range 2 * localplatform.MaxWaiting {
		crowd = append(crowd, dial(t, s))
	}
	crowd[0].wantClosed()
	lone.send(own(s, "a:legacy:lone").bytes())
	lone.want(0x20, 2, 0, 0)
}

func TestWrongLoginsOverHTTPCountToo(t *testing.T) {
	s := start(t, nil)
	key, token := s.Key()
	wrong := restOf(t, s).as(key, token.Reveal()+"x")
	for range 4 {
		wrong.want(401, "GET", "device/types", nil)
		wrong.want(403, "POST", "application/types/kiln/devices/K-1/events/t", "{}")
	}
	for range 20 { // a browser's first request claims nothing
		wrong.as("", "").want(401, "GET", "device/types", nil)
	}
	if got := s.Slowdown("127.0.0.1"); got != 0 {
		t.Errorf("got %v before the tenth, want none", got)
	}
	wrong.as(wiotp.UseTokenAuth, "guessed-token").want(403, "POST", "device/types/kiln/devices/K-1/events/t", "{}")
	wrong.as("g/legacy/edge/G-1", "guessed-token").want(403, "POST", "device/types/kiln/devices/K-1/events/t", "{}")
	s.log.wait(t, "rule=slowdown", "code=176", "addr=127.0.0.1")
	began := time.Now()
	restOf(t, s).want(200, "GET", "device/types", nil)
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("got an answer after %v, want it to wait", took)
	}
	other := dialFrom(t, s, "127.0.0.2")
	other.send(own(s, "a:legacy:other").bytes())
	other.want(0x20, 2, 0, 0)
}

// What is answered must not say which keys and devices there are.
func TestAnswersToWrongLoginsAreAlike(t *testing.T) {
	s := startFull(t, nil)
	key, token := s.Key()
	for _, path := range []string{"application/types/kiln/devices/K-2/events/t", "device/types/kiln/devices/K-2/events/t", "device/types/kiln/devices/K-9/events/t"} {
		var answers []string
		for _, l := range [][2]string{{key, "wrong-token"}, {"a-legacy-unknown", token.Reveal()}, {wiotp.UseTokenAuth, "wrong-token"}, {"g/legacy/edge/G-1", "wrong-token"}, {"g/legacy/edge/G-9", "wrong-token"}} {
			s.Forgive()
			status, _, body := restOf(t, s).as(l[0], l[1]).raw("POST", path, "{}")
			answers = append(answers, fmt.Sprint(status, string(body)))
		}
		for _, a := range answers {
			if a != answers[0] {
				t.Errorf("%s: got %q and %q, want them alike", path, answers[0], a)
			}
		}
	}
}

func TestIdleHTTPCrowdPushesOutItself(t *testing.T) {
	s := start(t, nil)
	lone := dialFrom(t, s, "127.0.0.2")
	lone.send([]byte("GET /api/v0002/x HTTP/1.1\r\n"))
	var crowd []*raw
	for range 2 * localplatform.MaxHTTP {
		c := dial(t, s)
		c.send([]byte("GET "))
		crowd = append(crowd, c)
	}
	crowd[0].wantClosed()
	lone.send([]byte("Host: x\r\n\r\n"))
	line, err := lone.r.ReadString('\n')
	if err != nil || line != "HTTP/1.1 404 Not Found\r\n" {
		t.Errorf("got %q, %v, want an answer", line, err)
	}
}

package localplatform_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

// childStore is the environment variable that makes this test binary a platform on a store, to be killed.
const childStore = "LOCALPLATFORM_STORE"

func runChild(dir string) {
	p, err := localplatform.Open(localplatform.Config{Listen: "127.0.0.1:0", Org: "legacy", Store: dir, Devices: []localplatform.Device{{Type: "kiln", ID: "K-1"}},
		Users: map[string]localplatform.User{"a-legacy-k": {Token: "t"}}})
	if err == nil {
		err = p.Register("kiln", "K-2", kilnToken, false)
		if err != nil && strings.Contains(err.Error(), "exists") {
			err = nil
		}
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(p.Addr())
	if err := p.Run(context.Background()); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// A child is a platform in a process of its own.
type child struct {
	cmd  *exec.Cmd
	addr string
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childStore+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatalf("got %q, %v, want an address", line, err)
	}
	return &child{cmd, strings.TrimSpace(line)}
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // it was killed
}

// dial logs in. present says whether the session was kept.
func (c *child) dial(t *testing.T, l connect) (conn *raw, present bool) {
	t.Helper()
	nc, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	r := &raw{t: t, Conn: nc, r: bufio.NewReaderSize(nc, 64<<10)}
	if l.user == "" {
		l.user, l.password = "a-legacy-k", "t"
	}
	r.send(l.bytes())
	first, body, err := r.next()
	if err != nil || first != 0x20 || body[1] != 0 {
		t.Fatalf("got %x % x, %v, want to be let in", first, body, err)
	}
	return r, body[0] == 1
}

// Whatever was acknowledged to a publisher reaches every durable subscription, however often the process is killed.
func TestKilledPlatformLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	kills := proof(4, 20, 200)
	subscribers := map[string]connect{
		"application": {id: "a:legacy:sub", persistent: true},
		"member":      {id: "A:legacy:app:1", persistent: true},
	}
	p := startChild(t, dir)
	for name, l := range subscribers {
		c, _ := p.dial(t, l)
		c.subscribed(1, allEvents)
		c.Close()
		t.Logf("%s subscribed", name)
	}
	rnd := rand.New(rand.NewPCG(1, uint64(kills)))
	acked := map[string]bool{}
	seen := map[string]map[string]int{}
	for name := range subscribers {
		seen[name] = map[string]int{}
	}
	next := 0
	for round := range kills {
		device, _ := p.dial(t, connect{id: theDevice.id, user: wiotp.UseTokenAuth, password: kilnToken})
		device.ping()
		var readers sync.WaitGroup
		for name, l := range subscribers {
			if round%3 == 2 {
				continue // nobody listens: it is kept
			}
			c, present := p.dial(t, l)
			if !present {
				t.Fatalf("round %d, %s: got a new session, want the kept one", round, name)
			}
			readers.Go(func() {
				for {
					first, body, err := c.next()
					if err != nil {
						return
					}
					g := parseEvent(first, body)
					seen[name][g.payload]++
					c.Write(puback(g.id))
				}
			})
		}
		pub, _ := p.dial(t, connect{id: "a:legacy:pub"})
		sent := make(chan []string, 1)
		stop := 20 + rnd.IntN(200)
		go func() {
			var all []string
			for len(all) < stop+50 {
				payload := fmt.Sprintf("%d%*s", next, 3000, "") // long: the journal is rewritten now and then
				next++
				b := append(append(str(nil, kilnTopic), byte(len(all)%50+1>>8), byte(len(all)%50+1)), payload...)
				if _, err := pub.Write(packet(0x32, b)); err != nil {
					break
				}
				all = append(all, payload)
			}
			sent <- all
		}()
		n := 0
		for n < stop {
			if _, _, err := pub.next(); err != nil {
				t.Fatal(err)
			}
			n++
		}
		p.kill(t)
		for { // what was acknowledged just before
			if _, _, err := pub.next(); err != nil {
				break
			}
			n++
		}
		pub.Close()
		for _, payload := range (<-sent)[:n] {
			acked[payload] = true
		}
		readers.Wait()
		p = startChild(t, dir)
	}
	for name, l := range subscribers {
		c, _ := p.dial(t, l)
		missing := map[string]bool{}
		for payload := range acked {
			if seen[name][payload] == 0 {
				missing[payload] = true
			}
		}
		for len(missing) > 0 { // what is still kept comes as the socket has room for it
			first, body, err := c.next()
			if err != nil {
				break
			}
			g := parseEvent(first, body)
			c.send(puback(g.id))
			delete(missing, g.payload)
		}
		lost := len(missing)
		if lost > 0 {
			t.Errorf("%s: got %d of %d acknowledged events lost in %d kills, want none", name, lost, len(acked), kills)
		}
	}
	w, _ := p.dial(t, connect{id: "a:legacy:watcher"})
	w.subscribed(0, anyDevice)
	for _, g := range w.take() {
		if m := status(t, g); m["Action"] != "Disconnect" || m["CloseCode"] != 93.0 { // P34
			t.Errorf("got %v, want the Disconnect that the killed process left out", m)
		}
	}
	p.kill(t)
	t.Logf("%d kills, %d events acknowledged", kills, len(acked))
}

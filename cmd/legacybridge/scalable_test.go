package main_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const anyDevice = `rules = { unregistered = "accept" }`

// The two forms of a scalable application: the client id of each member, and what watch is told for it.
var scalableForms = []struct {
	name  string
	id    func(app string, n int) string
	watch func(n int) []string
}{
	{"OneClientID", func(app string, _ int) string { return "A:legacy:" + app }, func(int) []string { return nil }},
	{"Instances", func(app string, n int) string { return fmt.Sprintf("A:legacy:%s:%d", app, n) }, func(n int) []string { return []string{"--instance", fmt.Sprint(n)} }},
}

// shares publishes n events and wants each of them at exactly one of all, the same number at those who share and none
// at the rest.
func (p *embedded) shares(n int, all []*tally, sharing int, rate ...string) {
	p.t.Helper()
	got := p.run(append([]string{"stress", "-q", "--limit", fmt.Sprint(n)}, rate...)...)
	if !strings.HasPrefix(got, fmt.Sprintf("%d events published, %d acknowledged", n, n)) {
		p.t.Fatalf("stress said %q", got)
	}
	sum := func() (s int) {
		for _, c := range all {
			s += c.count()
		}
		return s
	}
	waitFor(p.t, 60*time.Second, "all events at the members", func() bool { return sum() >= n })
	seen := map[int]int{}
	for i, c := range all {
		part := 0
		for event, times := range c.take() {
			seen[event] += times
			part += times
		}
		even := n / sharing
		if i >= sharing && part > 0 || i < sharing && (part < even*8/10 || part > even*12/10) {
			p.t.Errorf("%d of %d members share %d events: member %d got %d", sharing, len(all), n, i+1, part)
		}
	}
	for i := 1; i <= n; i++ {
		if seen[i] != 1 {
			p.t.Fatalf("event %d came %d times, want once", i, seen[i])
		}
	}
}

// The document's example step by step, with whole programs: one client gets all, two share, three share.
func TestScalableApplicationSharesAmongWholePrograms(t *testing.T) {
	for _, form := range scalableForms {
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			p := startEmbedded(t, anyDevice)
			var all []*tally
			for n := 1; n <= 3; n++ {
				all = append(all, &p.join(form.watch(n)...).tally)
				p.shares(300, all, n, "--rate", "0")
			}
			n := proof(3000, 30_000, 30_000)
			p.shares(n, all, 3, "--rate", "0")
			stats, sent := p.stats(), 0
			if stats.Waiting != 0 || stats.Dropped != 0 {
				t.Errorf("got %d waiting and %d dropped, want none", stats.Waiting, stats.Dropped)
			}
			for _, m := range stats.Members {
				if !m.Connected || m.Client != form.id("back", 1) && m.Client != form.id("back", 2) && m.Client != form.id("back", 3) {
					t.Errorf("--stats has the member %+v", m)
				}
				sent += m.Sent
			}
			if sent != 900+n {
				t.Errorf("--stats has %d events sent to the members, want %d", sent, 900+n)
			}
		})
	}
}

// The end of the example: two of three end their subscription and stay connected.
func TestScalableApplicationWithoutTwoOfThreeSubscriptions(t *testing.T) {
	for _, form := range scalableForms {
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			p := startEmbedded(t, anyDevice)
			const filter = "iot-2/type/stress/id/+/evt/+/fmt/+"
			var all []*tally
			var clients []mqtt.Client
			for n := 1; n <= 3; n++ {
				c := &tally{}
				client := mqtt.NewClient(p.options(form.id("front", n), false).SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.add(m.Payload()) }))
				wait(t, client.Connect(), "connect")
				defer client.Disconnect(50)
				wait(t, client.Subscribe(filter, 1, nil), "subscribe")
				all, clients = append(all, c), append(clients, client)
			}
			p.shares(300, all, 3, "--rate", "0")
			for _, client := range clients[1:] {
				wait(t, client.Unsubscribe(filter), "unsubscribe")
			}
			p.shares(300, all, 1, "--rate", "0")
			if got := len(p.stats().Members); got != 3 {
				t.Errorf("--stats has %d members connected, want all 3", got)
			}
			wait(t, clients[1].Subscribe(filter, 1, nil), "subscribe again")
			p.shares(300, all, 2, "--rate", "0")
		})
	}
}

// Durable members are killed in mid-load and come back: nothing is lost, and nothing is sent to one that is gone.
func TestScalableMembersKilledAndBackLoseNothing(t *testing.T) {
	t.Parallel() // it waits for lines of --stats
	p := startEmbedded(t, anyDevice)
	join := func(i int) *member { return p.join("--instance", fmt.Sprint(i), "--clean-session", "false") }
	members := make([]*member, 3)
	for i := range members {
		members[i] = join(i)
	}
	stress := p.command("stress", "-q", "--rate", "3000")
	var said strings.Builder
	stress.Stdout, stress.Stderr = &said, os.Stderr
	if err := stress.Start(); err != nil {
		t.Fatal(err)
	}
	seen := map[int]int{}
	take := func(m *member) {
		for event, times := range m.take() {
			seen[event] += times
		}
	}
	kills := proof(2, 4, 200)
	for k := range kills {
		i := k % 3
		more := func(what string, n int) {
			before := members[(i+1)%3].count()
			waitFor(t, 30*time.Second, what, func() bool { return members[(i+1)%3].count() > before+n })
		}
		members[i].hold.Lock() // whoever reads what it prints is slow, so that it has much in hand
		more("load", 1500)
		_ = members[i].cmd.Process.Kill()
		members[i].hold.Unlock()
		members[i].end(os.Kill)
		take(members[i])
		gone := func() (sent int) {
			for _, m := range p.stats().Members {
				if m.Client == fmt.Sprintf("A:legacy:back:%d", i) {
					if m.Connected {
						t.Errorf("--stats has %s connected, which was killed", m.Member)
					}
					sent = m.Sent
				}
			}
			return sent
		}
		if k%5 == 0 { // it takes its time
			sent := gone()
			if more("load on the others", 50); gone() != sent {
				t.Errorf("%d events were sent to a member that is gone", gone()-sent)
			}
		}
		members[i] = join(i)
	}
	_ = stress.Process.Signal(os.Interrupt)
	_ = stress.Wait() // the line says whether it did its work
	var published, acked int
	if _, err := fmt.Sscanf(said.String(), "%d events published, %d acknowledged", &published, &acked); err != nil || published != acked || acked == 0 {
		t.Fatalf("stress said %q", said.String())
	}
	waitFor(t, 30*time.Second, "end of what waits", func() bool { return p.stats().Waiting == 0 })
	for _, m := range members {
		m.end(os.Interrupt)
		take(m)
	}
	again := 0
	for i := 1; i <= acked; i++ {
		if seen[i] == 0 {
			t.Fatalf("event %d of %d is lost", i, acked)
		}
		again += seen[i] - 1
	}
	if again > kills*3000 { // what a program has in hand and in its socket
		t.Errorf("%d events came again in %d kills", again, kills)
	}
	t.Logf("%d kills, %d events, none lost, %d came again", kills, acked, again)
}

// What a kept session of watch has not printed comes again: nothing is left out between one run and the next.
func TestKeptWatchGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	p := startEmbedded(t, anyDevice)
	watch := func(args ...string) (n []int) {
		out := p.run(append([]string{"watch", "events", "--type", "stress", "--app", "back", "--clean-session", "false", "--json", "-q"}, args...)...)
		for line := range strings.Lines(out) {
			var one int
			if _, err := fmt.Sscan(between(line, `"n":`, ","), &one); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			n = append(n, one)
		}
		return n
	}
	if n := watch("--for", "1s"); len(n) > 0 {
		t.Fatalf("got %v before anything was published", n)
	}
	p.run("stress", "-q", "--rate", "0", "--limit", "500")
	first, second := watch("--limit", "30", "--for", "20s"), watch("--limit", "470", "--for", "20s")
	if len(first) != 30 || len(second) != 470 || first[0] != 1 || second[0] > 31 { // less: its acknowledgement was not sent
		t.Fatalf("got %d events from %v, then %d from %v; want 30 from 1, then 470 from 31", len(first), first[:1], len(second), second[:1])
	}
	for _, got := range [][]int{first, second} {
		for i, n := range got {
			if n != got[0]+i {
				t.Fatalf("event %d came in place %d", n, got[0]+i)
			}
		}
	}
}

package publisher

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"legacybridge/mapping"
)

// brisk are the spans of the rules for a link whose bad hour lasts a second.
func brisk() timing {
	t := hurried()
	t.due, t.dueSlow = 300*time.Millisecond, 3*time.Second
	t.quiet, t.breakerWait = 50*time.Millisecond, 20*time.Millisecond
	t.holdFirst, t.holdMax = 10*time.Millisecond, 50*time.Millisecond
	return t
}

// Random faults between us and mosquitto. Nothing is lost, each device's events come in order, and twice only what was in
// flight when a connection ended.
func TestRandomFaultsBetweenUsAndMosquitto(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(seed, 1))
	m := newMosquitto(t, "allow_anonymous true", "max_inflight_messages 0")
	proxy := newFaultProxy(t, strings.TrimPrefix(m.server, "mqtt://"))
	sub := subscribe(t, m.server)
	const window, devices = 50, 3
	r := newRig(t, Config{Servers: []string{proxy.server}, Window: window, Backoff: Backoff{First: 5 * time.Millisecond, Max: 20 * time.Millisecond, Jitter: 0.2}})
	r.setTiming(brisk())
	r.reporter.t.report = 0 // each acknowledgement is told
	stop := r.start(t)

	// Each fault waits for progress after the one before, as the next one of a flapping link would hit a later event.
	faults, counts := proof(10, 300, 50_000), map[string]int{}
	n, spoiled := 0, time.Now()
	progress := func(beyond uint64) {
		r.until(t, fmt.Sprintf("progress beyond %d events, seed %d", beyond, seed), func(s State) bool { return s.Connected && s.Acked >= beyond })
	}
	cuts := 0
	doubled := func() bool { // else the run has tested nothing
		_, repeats := orderOf(t, sub.all())
		return repeats > 0
	}
	for i := 0; i < faults || cuts < 6 || i < 20*faults && !doubled(); i++ {
		var list []mapping.Event
		for range 1 + random.IntN(2*window) {
			for d := range devices {
				ev := event(fmt.Sprint("press-", d), n)
				ev.Number = mapping.AsMember
				if random.IntN(20) == 0 {
					ev.Payload = fmt.Appendf(nil, `{"d":{"n":%d},"x":"%s"}`, n, strings.Repeat("x", random.IntN(20_000)))
				}
				list = append(list, ev)
			}
			n++
		}
		r.put(t, list...)
		acked := r.state().Acked
		switch f := random.IntN(8); f {
		case 0:
			counts["cut"]++
			proxy.cut()
		case 1:
			counts["reset"]++
			proxy.reset()
		case 2:
			counts["half-open"]++
			proxy.halfOpen()
		case 3:
			counts["stall"]++
			proxy.stall()
			after(t, time.Duration(random.IntN(100))*time.Millisecond)
			proxy.calm()
		case 4:
			counts["stall and cut"]++
			proxy.stall()
			after(t, time.Duration(random.IntN(20))*time.Millisecond)
			proxy.cut()
			proxy.calm()
		case 5:
			counts["latency"]++
			proxy.set(time.Duration(random.IntN(5))*time.Millisecond, 0, false)
		case 6:
			counts["bandwidth"]++
			proxy.set(0, 200_000+random.IntN(2_000_000), false)
		case 7:
			counts["drip"]++
			proxy.set(0, 0, true)
		}
		cuts = counts["cut"] + counts["reset"] + counts["half-open"] + counts["stall and cut"]
		progress(acked + 1)
		if time.Since(spoiled) > 200*time.Millisecond {
			proxy.set(0, 0, false)
			spoiled = time.Now()
		}
	}
	proxy.set(0, 0, false)
	progress(uint64(n * devices))
	stop()

	s := r.state()
	if s.Acked != uint64(n*devices) || s.SetAside != 0 {
		t.Errorf("seed %d: got %+v, want %d acknowledged and no dead letter of a link that flaps", seed, s, n*devices)
	}
	sub.untilCount(t, n*devices)
	texts := sub.all()
	byDevice, repeats := orderOf(t, texts)
	if len(byDevice) != n*devices {
		t.Errorf("seed %d: got %d events, want %d: %d lost", seed, len(byDevice), n*devices, n*devices-len(byDevice))
	}
	if !slices.IsSorted(byDevice) {
		t.Errorf("seed %d: got first deliveries out of order", seed)
	}
	if most := window * int(s.Reconnects); repeats > most {
		t.Errorf("seed %d: got %d events twice in %d reconnects, want at most %d", seed, repeats, s.Reconnects, most)
	}
	if repeats == 0 {
		t.Errorf("seed %d: got no event twice in %d cuts: the run has tested nothing", seed, cuts)
	}
	if int(s.Reconnects) < cuts/2 {
		t.Errorf("seed %d: got %d reconnects in %d cuts: the faults did not reach the connection", seed, s.Reconnects, cuts)
	}
	t.Logf("seed %d: %d events, %v, %d reconnects: 0 lost, in order, %d twice (bound %d)", seed, len(byDevice), counts, s.Reconnects, repeats, window*int(s.Reconnects))
}

// after lets d pass: how long a fault lasts is its only property.
func after(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// orderOf reads the numbers of the events in the order of their first delivery, and how many came again. The numbers of one
// stream are its order.
func orderOf(t *testing.T, texts []string) (numbers []int, repeats int) {
	t.Helper()
	seen := map[int]bool{}
	for _, text := range texts {
		var number int
		at := strings.LastIndex(text, `-`)
		if _, err := fmt.Sscanf(text[at+1:], `%d"}`, &number); err != nil {
			t.Fatalf("got %.100s: %v", text, err)
		}
		if seen[number] {
			repeats++
			continue
		}
		seen[number] = true
		numbers = append(numbers, number)
	}
	return numbers, repeats
}

// On a real socket, behind which the peer vanishes without a FIN: the events that wait come over the next connection.
func TestHalfOpenSocketIsFound(t *testing.T) {
	b := newBroker()
	proxy := newFaultProxy(t, strings.TrimPrefix(b.listen(t), "mqtt://"))
	r := newRig(t, Config{Servers: []string{proxy.server}, KeepAlive: time.Hour, Backoff: Backoff{First: time.Millisecond}})
	quick := realTiming
	quick.due = 500 * time.Millisecond
	r.setTiming(quick)
	stop := r.start(t)
	r.put(t, event("press-7", 0))
	r.until(t, "the first event", func(s State) bool { return s.Acked == 1 })
	proxy.halfOpen()
	r.put(t, events("press-7", 10)...)
	r.until(t, "the others", func(s State) bool { return s.Acked == 11 })
	stop()
	if s := r.state(); s.Acked != 11 || s.Reconnects != 1 || proxy.connections() != 2 {
		t.Errorf("got %+v over %d connections, want 11 acknowledged after one reconnect", s, proxy.connections())
	}
	if !strings.Contains(r.log.String(), codeSilent) {
		t.Errorf("got log %s, want %s", r.log, codeSilent)
	}
}

// A real socket in front of a platform that reads 10 units a second: megabytes wait in two kernels, and no one is dead.
// By default a platform that is twenty times as fast stands for it, with a twentieth of the patience.
func TestThrottledSocketIsNotTakenForDead(t *testing.T) {
	speed := proof(20, 1, 1)
	b := newBroker()
	units, second := 0, time.Second/time.Duration(speed)
	b.onPublish = func(p *peer, m got) {
		for units += 1 + len(m.payload)/4096; units > 10; units -= 10 {
			after(t, second)
		}
		p.ack(m)
	}
	r := newRig(t, Config{Servers: []string{b.listen(t)}, KeepAlive: time.Second})
	slow := realTiming
	slow.due /= time.Duration(speed)
	r.setTiming(slow)
	const n = 9 // half a minute, or one and a half seconds
	for i := range n {
		r.put(t, large(i))
	}
	r.Finish()
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.state(); s.Acked != n || s.Reconnects != 0 || len(b.got()) != n {
		t.Errorf("got %+v and %d events, want %d and no reconnect\n%s", s, len(b.got()), n, r.log)
	}
}

package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// floodTarget and floodSize are the environment variables that make this test binary an attacker.
const (
	floodTarget = "LEGACYBRIDGE_FLOOD_TARGET"
	floodSize   = "LEGACYBRIDGE_FLOOD_SIZE"
)

// A floodReport is what the attacker saw.
type floodReport struct {
	Opened  int     // connections that came about
	Longest float64 // seconds that one was held
	Left    int     // still open at the end
}

// flood opens many connections and keeps them: silent ones, and some that send a login or a request byte by byte.
func flood(target string) {
	size, _ := strconv.Atoi(os.Getenv(floodSize))
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(size) + 1000, Max: uint64(max(size+1000, 20_000))}) // what it cannot open, it says
	var mu sync.Mutex
	var report floodReport
	var held sync.WaitGroup
	todo := make(chan int)
	var dialling sync.WaitGroup
	for range 64 {
		dialling.Go(func() {
			for i := range todo {
				began := time.Now()
				c, err := net.DialTimeout("tcp", target, 30*time.Second)
				if err != nil {
					continue
				}
				held.Go(func() {
					ended := hold(c, i)
					mu.Lock()
					defer mu.Unlock()
					report.Opened++
					if !ended {
						report.Left++
					}
					report.Longest = max(report.Longest, time.Since(began).Seconds())
				})
			}
		})
	}
	for i := range size {
		todo <- i
	}
	close(todo)
	dialling.Wait()
	fmt.Println("all opened")
	held.Wait()
	_ = json.NewEncoder(os.Stdout).Encode(report)
}

// hold keeps a connection until the other side ends it, or for so long that it never will.
func hold(c net.Conn, i int) (ended bool) {
	defer c.Close()
	drip := []byte(nil)
	switch i % 4 {
	case 0:
		drip = []byte("\x10\x40\x00\x04MQTT\x04\x02\x00\x3c")
	case 1:
		drip = []byte("GET /api/v0002/device/types HTTP/1.1\r\n")
	}
	end := time.Now().Add(time.Minute)
	for b := make([]byte, 1); time.Now().Before(end); {
		if len(drip) > 0 {
			_, _ = c.Write(drip[:1]) // an error shows at the read
			drip = drip[1:]
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(b); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				continue
			}
			return true
		}
	}
	return false
}

// Nobody who stays outside takes memory, places or time from those who are inside or want to come in.
func TestFloodOfStrangersHoldsUpNobody(t *testing.T) {
	size := proof(1500, 10_000, 10_000)
	p := startEmbedded(t, "rules.unregistered = \"accept\"")
	inside := p.options("a:legacy:inside", true)
	var events atomic.Int64
	inside.SetDefaultPublishHandler(func(mqtt.Client, mqtt.Message) { events.Add(1) })
	inside.SetAutoReconnect(false)
	app := mqtt.NewClient(inside)
	done(t, app.Connect())
	defer app.Disconnect(0)
	done(t, app.Subscribe("iot-2/app/+/mon", 0, nil))
	done(t, app.Subscribe("iot-2/type/kiln/id/+/evt/+/fmt/+", 1, nil))
	idle := memory(t, p.cmd.Process.Pid, "VmHWM")

	attacker := exec.Command(os.Args[0])
	attacker.Env = append(os.Environ(), floodTarget+"="+p.addr, floodSize+"="+strconv.Itoa(size))
	out, err := attacker.StdoutPipe()
	if err == nil {
		attacker.Stderr = os.Stderr
		err = attacker.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = attacker.Process.Kill(); _ = attacker.Wait() }()
	lines := make(chan string, 10)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()

	most, logins, slowest := 0, 0, time.Duration(0)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var report floodReport
	opened, waitForEnd := false, size >= 10_000
	for over := false; !over; {
		most = max(most, sockets(t, p.cmd.Process.Pid))
		// One that wants to come in, to publish, and to be heard by the one that is inside.
		began, before := time.Now(), events.Load()
		o := p.options(fmt.Sprintf("a:legacy:new%d", logins), true)
		o.SetAutoReconnect(false).SetConnectRetry(false)
		c := mqtt.NewClient(o)
		done(t, c.Connect())
		logins++
		slowest = max(slowest, time.Since(began))
		c.Disconnect(0)
		if took := roundTrip(t, app); took > 5*time.Second {
			t.Errorf("got an acknowledgement after %v, want those inside to go on", took)
		}
		waitFor(t, 10*time.Second, "status of the new one", func() bool { return events.Load() > before })
		select {
		case line, ok := <-lines:
			switch {
			case !ok:
				over = true
			case line == "all opened":
				opened, over = true, !waitForEnd
			default:
				if err := json.Unmarshal([]byte(line), &report); err != nil {
					t.Fatalf("got %q from the attacker: %v", line, err)
				}
			}
		case <-tick.C:
		}
	}
	if !app.IsConnectionOpen() {
		t.Error("got the one that was inside disconnected")
	}
	if !opened {
		t.Error("got an attacker that did not open its connections: is RLIMIT_NOFILE too low?")
	}
	if waitForEnd {
		if report.Opened < size || report.Left > 0 || report.Longest > 15 {
			t.Errorf("got %+v, want all of %d closed within 10 s, and what a busy machine takes", report, size)
		}
	}
	if slowest > 5*time.Second {
		t.Errorf("got a new login after %v, want it within a few seconds", slowest)
	}
	if most > 2000 {
		t.Errorf("got %d sockets held, want at most 2000", most)
	}
	grown := memory(t, p.cmd.Process.Pid, "VmHWM") - idle
	if grown > 64<<10 {
		t.Errorf("got %d KiB more memory at the peak than idle, want at most 64 MiB", grown)
	}
	said := strings.Count(p.stderr.String(), "\n")
	if said > 20 {
		t.Errorf("got %d log lines, want those of strangers counted", said)
	}
	t.Logf("%d connections: at most %d held at a time, the longest %.1f s; %d KiB at the peak above idle; %d logins beside them, the slowest %v; %d log lines",
		size, most, report.Longest, grown, logins, slowest, said)
}

func done(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(20*time.Second) || token.Error() != nil {
		t.Fatalf("got %v, want it done in time", token.Error())
	}
}

// roundTrip publishes with QoS 1 and waits for the acknowledgement.
func roundTrip(t *testing.T, c mqtt.Client) time.Duration {
	t.Helper()
	began := time.Now()
	done(t, c.Publish("iot-2/type/kiln/id/K-1/evt/t/fmt/json", 1, false, "{}"))
	return time.Since(began)
}

// memory is a line of /proc/PID/status, in KiB.
func memory(t *testing.T, pid int, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in /proc/%d/status", name, pid)
	return 0
}

// sockets counts those that a process holds.
func sockets(t *testing.T, pid int) (n int) {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

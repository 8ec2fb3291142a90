package localplatform

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/publisher/wiotp"
)

// pair returns a conn whose writer runs, and its peer.
func pair(t *testing.T) (*conn, net.Conn) {
	near, far := net.Pipe()
	c := newConn(near)
	c.writing = true
	go c.write()
	t.Cleanup(func() { c.finish(false); far.Close() })
	return c, far
}

func TestClientThatTakesNothingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t)
		chunk := make([]byte, 64<<10)
		for !c.hasEnded() {
			c.send(chunk)
		}
		if c.behind > maxUnwritten {
			t.Errorf("got %d bytes, want at most %d", c.behind, maxUnwritten)
		}
		if c.cause == nil || c.cause.Code != wiotp.SlowConsumer {
			t.Errorf("got %v, want 178", c.cause)
		}
	})
}

func TestWriteThatTakesTooLongIsASlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t)
		began := time.Now()
		c.send(make([]byte, 100))
		<-c.written
		if got := time.Since(began); got != writeWait {
			t.Errorf("got an end after %v, want %v", got, writeWait)
		}
		if c.cause == nil || c.cause.Code != wiotp.SlowConsumer {
			t.Errorf("got %v, want 178", c.cause)
		}
	})
}

func TestNothingIsReadFromAClientThatTakesNoAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t)
		c.send(make([]byte, manyAnswers+1))
		settled := false
		go func() { settled = c.settled(10) }()
		synctest.Wait()
		if settled {
			t.Error("got settled, want it to wait")
		}
		go io.Copy(io.Discard, far)
		synctest.Wait()
		if !settled {
			t.Error("got it waiting, want it settled")
		}
	})
}

func TestWhatWasSentBeforeTheEndArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t)
		var want []byte
		for i := range 1000 {
			p := bytes.Repeat([]byte{byte(i)}, i)
			want = append(want, p...)
			c.send(p)
		}
		c.end(nil)
		c.send([]byte("late"))
		go c.finish(false)
		got, err := io.ReadAll(far)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
		}
	})
}

func TestLostConnectionLetsItsBufferGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t)
		c.send(make([]byte, fullSocket))
		synctest.Wait()
		if c.room() {
			t.Error("got room, want none")
		}
		far.Close()
		<-c.written
		if c.behind != 0 || c.out != nil {
			t.Errorf("got %d bytes unwritten, want 0", c.behind)
		}
	})
}

func TestEndWakesTheReaderAndIgnoresLaterDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t)
		c.keepalive = time.Hour
		c.arm()
		began := time.Now()
		go func() {
			time.Sleep(time.Second) // virtual time
			c.end(nil)
			c.arm()
		}()
		if _, err := c.Read(make([]byte, 1)); err == nil || time.Since(began) != time.Second {
			t.Errorf("got %v after %v, want an error after 1s", err, time.Since(began))
		}
	})
}

func TestKeepaliveIsOneAndAHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, keepalive := range []time.Duration{time.Second, 43691 * time.Second, 65535 * time.Second} {
			c, far := pair(t)
			c.keepalive = keepalive
			began := time.Now()
			go func() {
				time.Sleep(50 * time.Millisecond)
				far.Write([]byte{1})
			}()
			for range 2 { // the second one waits in vain
				c.arm()
				if _, err := c.Read(make([]byte, 1)); err != nil {
					break
				}
			}
			if got := time.Since(began); got != keepalive*3/2 {
				t.Errorf("got an end after %v, want %v", got, keepalive*3/2)
			}
		}
	})
}

func TestLargePacketHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t)
		began := time.Now()
		go func() {
			far.Write(append([]byte{0x30, 0x80, 0x80, 2}, make([]byte, 5000)...)) // the beginning of 32 KiB
			time.Sleep(packetWait - time.Second)                                  // virtual time
			far.Write(make([]byte, 32<<10-5000))
			far.Write([]byte{0x30, 0x80, 0x80, 2, 1})
		}()
		_ = c.arm()
		if _, err := c.readPacket(1 << 20); err != nil {
			t.Fatalf("got %v, want a packet that comes in time", err)
		}
		_ = c.arm()
		_, err := c.readPacket(1 << 20)
		if r := diagnose(err); r.Code != wiotp.KeepaliveTimeout || time.Since(began) != 2*packetWait-time.Second {
			t.Errorf("got %v after %v, want 160 after its time", r, time.Since(began))
		}
	})
}

func TestBudgetIsBackPressure(t *testing.T) {
	at := time.Unix(1000, 0)
	var b budget
	for i := range 9 {
		if got := b.spend(1, 10, at); got != 0 {
			t.Fatalf("unit %d: got a pause of %v, want none", i, got)
		}
	}
	if got := b.spend(1, 10, at.Add(300*time.Millisecond)); got != 700*time.Millisecond {
		t.Errorf("got a pause of %v, want until the next second", got)
	}
	if got := b.spend(33, 10, at.Add(time.Second)); got != 3*time.Second {
		t.Errorf("got a pause of %v for 33 units, want 3s", got)
	}
	if got := b.spend(1, 10, at.Add(time.Hour)); got != 0 {
		t.Errorf("got a pause of %v after an hour, want none", got)
	}
}

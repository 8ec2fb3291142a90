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

func TestClientThatDoesNotReadItsAnswersIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t)
		chunk := make([]byte, 1<<20)
		for i := 0; ; i++ {
			if _, err := c.Write(chunk); err != nil {
				if i != maxUnwritten/len(chunk) {
					t.Errorf("got %d MiB taken, want %d", i, maxUnwritten/len(chunk))
				}
				break
			}
		}
		if c.cause == nil || c.cause.Code != wiotp.SlowConsumer {
			t.Errorf("got %v, want 178", c.cause)
		}
	})
}

func TestWhatWasWrittenBeforeTheEndArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t)
		var want []byte
		for i := range 1000 {
			p := bytes.Repeat([]byte{byte(i)}, i)
			want = append(want, p...)
			if n, err := c.Write(p); n != len(p) || err != nil {
				t.Fatalf("got %d, %v, want %d", n, err, len(p))
			}
		}
		c.Close()
		if _, err := c.Write([]byte("late")); err == nil {
			t.Error("got nil, want the connection ended")
		}
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
		c.Write(make([]byte, maxBehind))
		synctest.Wait()
		if got := c.unwritten(); got != maxBehind {
			t.Errorf("got %d bytes unwritten, want %d", got, maxBehind)
		}
		far.Close()
		<-c.written
		if got := c.unwritten(); got != 0 || c.out != nil {
			t.Errorf("got %d bytes unwritten, want 0", got)
		}
	})
}

func TestEndWakesTheReaderAndIgnoresLaterDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t)
		c.keepalive = time.Hour
		c.SetDeadline(time.Time{})
		began := time.Now()
		go func() {
			time.Sleep(time.Second) // virtual time
			c.end(nil)
			c.SetDeadline(time.Time{})
		}()
		if _, err := c.Read(make([]byte, 1)); err != net.ErrClosed || time.Since(began) != time.Second {
			t.Errorf("got %v after %v, want closed after 1s", err, time.Since(began))
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
				c.SetDeadline(time.Time{})
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

package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// explained watches on a platform that closes the first session at its subscription, and tells why with close code
// code to whoever listens on the status topic; 0: it does not tell. It returns what Watch ended with.
func explained(t *testing.T, code int, login byte) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var mu sync.Mutex
		var ear *peer
		b.onLogin = func(p *peer) byte {
			if strings.Contains(p.clientID, "-why-") {
				return 0
			}
			b.noSuback = true // the other session has its answer by now
			return login
		}
		b.onSubscribe = func(p *peer) {
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(p.clientID, "-why-") {
				ear = p
				return
			}
			if code != 0 && ear != nil {
				ear.send("iot-2/app/test-watch-00001/mon", fmt.Sprintf(`{"Action":"Disconnect","ClientID":%q,"CloseCode":%d}`, p.clientID, code), 0)
			}
			_ = p.Close()
		}
		cfg := Config{Servers: []string{"mqtt://broker"}, ClientID: "a:legacy:test-watch-00001", ReasonID: "a:legacy:test-why-00001"}
		w, werr := newWatcher(cfg, []string{"iot-2/type/+/id/+/cmd/+/fmt/+"}, func(Message) {})
		if werr != nil {
			t.Fatal(werr)
		}
		w.dial = b.pipe
		w.reasons = newReasons(w.cfg)
		w.reasons.dial = b.pipe
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var listening sync.WaitGroup
		listening.Go(func() { w.reasons.listen(ctx) })
		err = w.run(ctx)
		stop()
		listening.Wait()
		b.peers.Wait()
	})
	return err
}

func TestClosedSubscriptionIsExplainedByTheCodeOfTheStatusTopic(t *testing.T) {
	err := explained(t, 276, 0)
	f, ok := errors.AsType[*Failure](err)
	if !ok || f.Code != codeFilter || !strings.Contains(f.Why, "276") || !strings.Contains(f.Why, "role") {
		t.Errorf("got %v, want a refused filter with 276 and the role as its cause", err)
	}
}

func TestClosedSubscriptionWithoutACodeNamesAllItCanBe(t *testing.T) {
	err := explained(t, 0, 0)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "role") || !strings.Contains(err.Error(), "another client") {
		t.Errorf("got %v, want the role and another client among what it can be", err)
	}
}

func TestRefusedLoginNamesKeyAndToken(t *testing.T) {
	err := explained(t, 0, 5)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "token") {
		t.Errorf("got %v, want the token among what it can be", err)
	}
}

package localplatform_test

import (
	"fmt"
	"strings"
	"testing"

	"legacybridge/publisher/localplatform"
)

func TestP01KeyAndTokenLetIn(t *testing.T) {
	s := start(t, nil)
	c := login(t, s, "app")
	c.ping()
	if got := s.Stats(); got.Connections != 1 || got.Logins != 1 || got.Refused != 0 {
		t.Errorf("got %+v, want one connection", got)
	}
	c.send([]byte{0xe0, 0}) // DISCONNECT
	c.wantClosed()
	s.log.wait(t, "msg=client disconnected", "id=a:legacy:app", "code=0")
}

// refused sends a login and wants CONNACK code, then the end.
func refused(t *testing.T, s *site, l connect, code byte) {
	t.Helper()
	c := dial(t, s)
	c.send(l.bytes())
	c.want(0x20, 2, 0, code)
	c.wantClosed()
}

func TestP02WrongCredentialsAreAnsweredWith5(t *testing.T) {
	s := start(t, nil)
	key, token := s.Key()
	for i, c := range []struct {
		l    connect
		rule string
	}{
		{connect{user: key, password: "wrong"}, "token"},
		{connect{user: key, password: token.Reveal() + "x"}, "token"},
		{connect{user: key, password: token.Reveal()[1:]}, "token"},
		{connect{user: key}, "token"},
		{connect{user: "a-legacy-unknown", password: token.Reveal()}, "api_key"},
		{connect{user: "a-other1-abcdefgh", password: token.Reveal()}, "api_key"},
		{connect{}, "api_key"},
	} {
		c.l.id = fmt.Sprintf("a:legacy:app%d", i)
		refused(t, s, c.l, 5)
		got := s.log.wait(t, "msg=login refused", "rule="+c.rule, "id="+c.l.id)
		if got["code"] != "180" || got["connack"] != "5" {
			t.Errorf("got %v, want code 180, CONNACK 5", got)
		}
	}
	for _, r := range s.log.find() {
		for k, v := range r {
			if strings.Contains(v, token.Reveal()[1:]) {
				t.Errorf("got the token in the log under %s", k)
			}
		}
	}
}

func TestP02ConfiguredUsersAndNoOther(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) {
		cfg.Users = map[string]localplatform.User{
			"a-legacy-b2": {Token: "MP$08VKz!8rXwnR-Q*"},
			"a-legacy-a1": {Token: "first"},
		}
	})
	if key, token := s.Key(); key != "a-legacy-a1" || token.Reveal() != "first" {
		t.Errorf("got %s, want the first of the users", key)
	}
	c := dial(t, s)
	c.send(connect{id: "a:legacy:x", user: "a-legacy-b2", password: "MP$08VKz!8rXwnR-Q*"}.bytes())
	c.want(0x20, 2, 0, 0)
	refused(t, s, connect{id: "a:legacy:y", user: "a-legacy-a1", password: "MP$08VKz!8rXwnR-Q*"}, 5)
}

func TestP02KeyOfAnotherOrganisationIsAConfigurationError(t *testing.T) {
	_, err := localplatform.Open(localplatform.Config{Listen: "127.0.0.1:0", Org: "legacy", Store: "memory",
		Users: map[string]localplatform.User{"a-other1-x": {Token: "t"}}})
	if err == nil || !strings.Contains(err.Error(), "legacy") {
		t.Errorf("got %v, want an error that names the organisation", err)
	}
}

func TestP03OtherClientIDsAreAnsweredWith5(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct{ id, rule string }{
		{"", "client_id"}, {"x", "client_id"}, {"x:legacy:app", "client_id"}, {"a:legacy", "client_id"},
		{"a:legacy:", "client_id"}, {"a::app", "client_id"}, {"a:legacy:a b", "client_id"},
		{"a:legacy:" + strings.Repeat("x", 37), "client_id"}, {"d:legacy:kiln", "client_id"}, {"g:legacy:gw:", "client_id"}, {"d:legacy:kiln:K-1", "token"}, {"g:legacy:gw:1", "token"},
		{"a:other1:app", "org"}, {"a:legac:app", "org"}, {"a:quickstart:app", "org"},
	} {
		refused(t, s, own(s, c.id), 5)
		s.log.wait(t, "msg=login refused", "rule="+c.rule, "connack=5")
	}
}

func TestP03VersionsOfMQTT(t *testing.T) {
	s := start(t, nil)
	old := own(s, "a:legacy:old")
	old.name, old.level = "MQIsdp", 3
	c := dial(t, s)
	c.send(old.bytes())
	c.want(0x20, 2, 0, 0)

	five := own(s, "a:legacy:five")
	five.level = 5
	c = dial(t, s)
	c.send(five.bytes())
	c.want(0x20, 3, 0, 0x84, 0)
	c.wantClosed()

	six := own(s, "a:legacy:six")
	six.level = 6
	refused(t, s, six, 1)
	s.log.wait(t, "rule=version", "id=")

	other := own(s, "a:legacy:other")
	other.name = "HTTP"
	c = dial(t, s)
	c.send(other.bytes())
	c.wantClosed()
}

func TestP04BadCharactersInTheClientIDAreAnsweredWith2(t *testing.T) {
	s := start(t, nil)
	for _, id := range []string{"a:legacy:x/y", "a:legacy:+", "a:legacy:#", "a:legacy:\x01", "a:legacy:\x00", "a:legacy:\ufffe", "a:legacy:\xff", "/"} {
		refused(t, s, own(s, id), 2)
	}
}

func TestP06PasswordWithoutUserNameCloses(t *testing.T) {
	s := start(t, nil)
	c := dial(t, s)
	c.send(connect{id: "a:legacy:app", password: "x"}.bytes())
	c.wantClosed()
	s.log.wait(t, "rule=login", "code=105")
}

func TestP07SecondLoginWithTheSameIDEndsTheFirst(t *testing.T) {
	s := start(t, nil)
	var many []string
	for i := range 400 {
		many = append(many, fmt.Sprintf("iot-2/type/kiln/id/X-%d/evt/+/fmt/+", i))
	}
	first := login(t, s, "app")
	first.subscribe(1, 1, allEvents)
	first.want(0x90, 3, 0, 1, 1)
	for range 12 { // the library's own take-over loses the newcomer now and then
		second := login(t, s, "app")
		first.wantClosed()
		// Many subscriptions take the broker a while to remove: not under the newcomer's feet.
		second.subscribe(1, 0, append(many, allEvents)...)
		if first, _, err := second.next(); err != nil || first != 0x90 {
			t.Fatalf("got %x, %v, want SUBACK", first, err)
		}
		second.publish(kilnTopic, []byte("mine"), 0, 0, false)
		if g := second.event(); g.payload != "mine" {
			t.Fatalf("got %q, want the newcomer's own event", g.payload)
		}
		first = second
	}
	s.log.wait(t, "msg=connection closed", "rule=client_id", "code=288", "id=a:legacy:app")
	if got := len(s.log.find("code=288")); got != 1 {
		t.Errorf("got %d lines, want the repeats summed up", got)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, "code=288", "n=11")
}

func TestP07ManyLoginsAtOnceWithTheSameIDLeaveOne(t *testing.T) {
	s := start(t, nil)
	bytes := own(s, "a:legacy:app").bytes()
	var all []*raw
	for range 30 {
		c := dial(t, s)
		c.send(bytes)
		all = append(all, c)
	}
	alive := make(chan *raw, len(all))
	for _, c := range all {
		go func() {
			for {
				if _, _, err := c.next(); err != nil {
					alive <- nil
					return
				}
				c.Write([]byte{0xc0, 0}) // an answer to the next PINGREQ shows who lives
			}
		}()
	}
	for range len(all) - 1 {
		<-alive
	}
	if got := s.Stats().Connections; got != 1 {
		t.Errorf("got %d connections, want 1", got)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	<-alive
}

func TestP14WillOnATopicThatTheClientMayNotPublish(t *testing.T) {
	s := start(t, nil)
	for _, topic := range []string{"iot-2/app/app/mon", "x", "", "iot-2/type/kiln/id/K-2/evt/gone/fmt/json", "iot-2/cmd/x/fmt/json"} {
		l := own(s, "a:legacy:app")
		l.willTopic, l.will, l.willSet = topic, "gone", true
		refused(t, s, l, 5)
		s.log.wait(t, "rule=will", "connack=5")
	}
}

func TestP14WillIsDeliveredWithoutRetain(t *testing.T) {
	s := start(t, nil)
	sub := listen(t, s, "sub", 1)
	l := own(s, "a:legacy:app")
	l.willTopic, l.will, l.flags = kilnTopic, "gone", 1<<5|1<<3 // retain, QoS 1
	c := dial(t, s)
	c.send(l.bytes())
	c.want(0x20, 2, 0, 0)
	c.Close()
	if g := sub.event(); g.payload != "gone" || g.retain || g.qos != 1 {
		t.Errorf("got %+v, want the will with QoS 1 and without RETAIN", g)
	}
	late := listen(t, s, "late", 0)
	late.wantOnly(s)
}

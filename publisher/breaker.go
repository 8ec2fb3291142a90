package publisher

import (
	"math/rand/v2"
	"time"

	"legacybridge/publisher/wiotp"
)

// timing is every span of the delivery rules; tests shorten it.
type timing struct {
	quiet       time.Duration // a suspect is sent on a connection that stood so long with nothing in flight
	blame       time.Duration // closed within it, the suspect is to blame
	doubt       time.Duration // for so long after a drop that no event can have caused, it takes more to blame one
	breakerWait time.Duration // longest wait between attempts while the breaker is at work: a poison message is out in a minute
	due         time.Duration // without any acknowledgement for so long, a connection is dead…
	dueSlow     time.Duration // …but for so long where the peer is slow to take the events
	answer      time.Duration // and with nothing in flight, after keepalive and so long without a word: a ping leaves 5 s after keepalive
	shortLived  time.Duration // a drop so soon after the login may be another client with our id
	rivalMemory time.Duration // for so long, later drops count as the other client's too
	holdFirst   time.Duration
	holdMax     time.Duration
	trial       time.Duration // between two attempts with a topic that is refused
	trialGap    time.Duration // between attempts with different ones, so that many do not cost a connection each second
	blink       time.Duration // a drop so soon after an acknowledgement may be for its topic
	fold        time.Duration // a log line that repeats is written once in so long
	remind      time.Duration // and one about a state that only people can end
	report      time.Duration // the state is reported so often while events flow
}

var realTiming = timing{
	quiet: 2 * time.Second, blame: 5 * time.Second, doubt: time.Hour, breakerWait: 8 * time.Second, due: 20 * time.Second, dueSlow: 5 * time.Minute, answer: 9 * time.Second,
	shortLived: 10 * time.Second, rivalMemory: 15 * time.Minute, holdFirst: time.Minute, holdMax: 10 * time.Minute,
	trial: 10 * time.Minute, trialGap: time.Minute, blink: 100 * time.Millisecond, fold: 5 * time.Minute, remind: time.Hour, report: time.Second,
}

// drop is how a connection ended.
type drop struct {
	cause  error
	code   wiotp.CloseCode // what the platform says; 0: nothing
	byPeer bool
	stood  time.Duration
	acked  bool // it had acknowledged something
	// after is the topic that was acknowledged just before, if nothing else speaks for a coincidence: others were
	// acknowledged on the same connection, or nothing at all before.
	after string

	inFlight bool // the rest is about what was in flight
	head     uint64
	topic    string // of the head
	last     uint64 // highest number
	alone    bool   // the head was sent alone, after the quiet time…
	took     time.Duration
}

// A breaker finds the event that makes the server hang up. MQTT 3.1.1 gives no reason, so it goes by what was in
// flight when the peer closed. What was in flight twice is sent one at a time; the same head twice, or one that was
// in flight with no other, is a suspect, is sent alone on a quiet connection, and if the peer closes right after it
// twice, the event is to blame. Time-outs, failed dials, refused logins and drops with nothing in flight say nothing.
//
// A link that flaps may by chance cut twice just there. It betrays itself by drops that no event can have caused: with
// nothing in flight, or with what was acknowledged on the next connection. After one of these it takes three times, and
// each drop with nothing in flight begins the count anew: where a suspect goes out on a connection that stood 2 s and is
// answered within some 100 ms, three cuts in a row right behind it, and none in the quiet before, are no chance any more;
// nor are eight in all.
type breaker struct {
	t timing

	head    uint64 // in flight first at the last drop
	drops   int    // in a row with that head
	strikes int    // of them alone on a quiet connection, since the link dropped by itself
	struck  int    // and in all
	reach   uint64 // highest number in flight at the last drop; 0: that is past
	until   uint64 // one at a time up to this number: the event to blame may stand behind some whose acknowledgements got lost

	flaps time.Time // until then the link is known to drop by itself

	inRow  int                   // set aside without an acknowledgement between
	hold   hold                  // while everything is refused
	acks   uint64                // all acknowledgements
	topics map[string]*suspicion // by subject
	trials time.Time             // next attempt with any refused topic

	unregistered func(typ, id string) bool // nil: nobody knows
}

// subject is what a suspicion is about: a topic, or all topics of a device that is known not to be registered, for then
// it is the device that the server refuses.
func (b *breaker) subject(topic string) string {
	if b.unregistered == nil {
		return topic
	}
	if t, err := wiotp.ParseTopic(topic); err == nil && b.unregistered(t.Type, t.ID) {
		return t.Type + "/" + t.ID
	}
	return topic
}

// suspicion is what is held against a topic. An acknowledgement of the topic ends it.
type suspicion struct {
	aside int       // events set aside
	acks  uint64    // breaker.acks at the first of them
	next  time.Time // when one is tried again
}

// acked says that a message was acknowledged.
func (b *breaker) acked(now time.Time, f *flight) {
	b.acks++
	b.inRow = 0
	b.hold.reset()
	if b.head != 0 && f.has(b.head) {
		b.clear()
	}
	if b.reach != 0 && f.first >= b.reach {
		b.reach, b.flaps = 0, now.Add(b.t.doubt)
	}
	if len(b.topics) > 0 {
		delete(b.topics, b.subject(f.topic))
	}
}

func (b *breaker) clear() { b.head, b.drops, b.strikes, b.struck = 0, 0, 0, 0 }

// dropped judges a drop. blamed means that it is the breaker's business: the head is a suspect. guilty means that the
// head is to be set aside.
func (b *breaker) dropped(now time.Time, d drop) (blamed, guilty bool) {
	if d.byPeer && !d.inFlight {
		b.flaps, b.strikes = now.Add(b.t.doubt), 0
	}
	if !d.byPeer || !d.inFlight {
		return false, false
	}
	// One at a time, it was alone in flight: no need to see it twice.
	single := d.alone || b.narrow(d.head)
	again := d.head <= b.reach
	b.reach = d.last
	if d.head != b.head {
		b.clear()
		b.head = d.head
	}
	if b.drops++; single {
		b.drops = max(b.drops, 2)
	}
	if b.drops < 2 && !again {
		return false, false
	}
	b.until = max(b.until, d.last)
	if !d.alone {
		return true, false
	}
	subject := b.subject(d.topic)
	if s := b.topics[subject]; s != nil && b.refused(s) { // a trial: once is enough
		s.next, b.trials = now.Add(b.t.trial), now.Add(b.t.trialGap)
		b.clear()
		if d.took > b.t.blame {
			return true, false
		}
		b.reach = 0
		return true, true
	}
	if d.took > b.t.blame {
		return true, false
	}
	b.strikes++
	b.struck++
	enough := 2
	if now.Before(b.flaps) && d.code == 0 { // with a code it was no chance
		enough = 3
	}
	if b.strikes < enough && b.struck < 8 || b.allRefused() {
		return true, false
	}
	b.inRow++
	if b.topics == nil {
		b.topics = map[string]*suspicion{}
	}
	s := b.topics[subject]
	if s == nil {
		s = &suspicion{acks: b.acks}
		b.topics[subject] = s
	}
	s.aside++
	s.next = now.Add(b.t.trial)
	b.reach = 0
	b.clear()
	return true, true
}

// suspect says whether the event is to be sent alone on a quiet connection.
func (b *breaker) suspect(number uint64) bool { return number == b.head && b.drops >= 2 }

// narrow says whether the event is to be sent with nothing else in flight.
func (b *breaker) narrow(number uint64) bool { return number <= b.until }

// allRefused says that nothing more is to be set aside: hold, for the fault is not in one event.
func (b *breaker) allRefused() bool { return b.inRow >= 3 }

// topicRefused says that events of the topic are to become dead letters unsent, but for one now and then.
func (b *breaker) topicRefused(topic string) bool {
	s := b.topics[b.subject(topic)]
	return s != nil && b.refused(s)
}

func (b *breaker) refused(s *suspicion) bool { return s.aside >= 2 && b.acks > s.acks }

// try says whether now is the time to try an event of a refused topic.
func (b *breaker) try(topic string, now time.Time) bool {
	s := b.topics[b.subject(topic)]
	return s == nil || !now.Before(s.next) && !now.Before(b.trials)
}

// wantsWitness says whether an event of another topic should go first: only if that is acknowledged is it this topic
// that the server refuses, and not everything.
func (b *breaker) wantsWitness(topic string) bool {
	s := b.topics[b.subject(topic)]
	return s != nil && (s.aside >= 2 && b.acks == s.acks || b.allRefused())
}

// rivals finds another client with our id: each login ends the other's session, without a reason.
type rivals struct {
	t     timing
	short int // drops soon after the login
	last  time.Time
	after string // drop.after of the last drop
	hold  hold
}

// dropped returns how long to stay away; 0 means that nothing speaks for another client. A drop that is the
// breaker's business clears the suspicion. Some servers (mosquitto 2.0.11) acknowledge what they do not allow and
// then hang up: the same topic every time is not another client either.
func (r *rivals) dropped(now time.Time, d drop, blamed bool) time.Duration {
	again := d.after != "" && d.after == r.after
	r.after = d.after
	switch {
	case blamed:
		r.clear()
		return 0
	case !d.byPeer || again:
		return 0
	case d.stood < r.t.shortLived:
		r.short++
	case r.short >= 2 && now.Sub(r.last) < r.t.rivalMemory:
		// The other one stays away for longer and longer: it has found out first. Both have to.
		r.short++
	default:
		r.clear()
		return 0
	}
	r.last = now
	if r.short < 3 {
		return 0
	}
	return r.hold.next(r.t)
}

func (r *rivals) clear() { r.short = 0; r.hold.reset() }

// hold is the wait in a state that only people can end. It grows.
type hold struct{ n int }

func (h *hold) next(t timing) time.Duration {
	d := t.holdFirst << min(h.n, 20)
	h.n++
	if d > t.holdMax || d <= 0 {
		d = t.holdMax
	}
	// Up to a fifth more, so that two do not come back together.
	return min(d+rand.N(d/5+1), t.holdMax)
}

func (h *hold) reset() { h.n = 0 }

// retry is the wait between attempts. Only an acknowledgement resets it: a server that lets us in and then hangs up
// would else be asked every second.
type retry struct {
	Backoff
	wait time.Duration
}

func (r *retry) next() time.Duration {
	r.wait = min(max(2*r.wait, r.First), r.Max)
	return r.wait + time.Duration(r.Jitter*(2*rand.Float64()-1)*float64(r.wait))
}

func (r *retry) reset() { r.wait = 0 }

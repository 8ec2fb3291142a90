package publisher

import (
	"time"

	"legacybridge/publisher/queue"
)

// acks takes what was acknowledged to the queue, in the order of sending. lost is the error of a message that will not
// be acknowledged any more.
func (d *drain) acks() (lost, err error) {
	n := 0
	for ; n < len(d.flights) && isDone(d.flights[n].token); n++ {
		if lost = d.flights[n].token.Error(); lost != nil {
			break
		}
		d.take(&d.flights[n])
	}
	clear(d.flights[:n])
	d.flights = d.flights[n:]
	return lost, d.commit()
}

// lastAcks takes all that was acknowledged before the connection ended, also past a message that was not.
func (d *drain) lastAcks() error {
	var left []flight
	for i := range d.flights {
		f := &d.flights[i]
		if isDone(f.token) && f.token.Error() == nil {
			d.take(f)
			continue
		}
		left = append(left, *f)
	}
	d.flights = left
	return d.commit()
}

// take notes that f was delivered.
func (d *drain) take(f *flight) {
	d.numbers = append(append(d.numbers, f.first), f.more...)
	d.events += f.count
	if f.alone != nil {
		d.alone = nil
	}
	if f.qos == 0 { // nothing was acknowledged, only sent
		return
	}
	d.moved = time.Now()
	d.breaker.acked(d.moved, f)
	d.retry.reset()
	d.mixed = d.mixed || d.pubacks > 0 && f.topic != d.last
	d.pubacks++
	d.last = f.topic
}

// commit takes to the queue what take noted.
func (d *drain) commit() error {
	if len(d.numbers) == 0 {
		return nil
	}
	now := time.Now()
	if len(d.flights) == 0 {
		d.quiet = now
	}
	if err := d.queue.Ack(d.numbers...); err != nil {
		return err
	}
	d.progress(now, d.events, len(d.flights) == 0)
	d.numbers, d.events = d.numbers[:0], 0
	return nil
}

func isDone(t token) bool {
	if queue.Planted(queue.AckBeforePuback) {
		return true
	}
	select {
	case <-t.Done():
		return true
	default:
		return false
	}
}

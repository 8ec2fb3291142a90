package queue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"legacybridge/publisher/queue"

	"go.etcd.io/bbolt"
)

// BenchmarkAgainstBbolt compares, on one disk and in turns, what is done with a backlog: events are stored in batches of 100,
// each synced, and then read and given up in batches of 100. The others are bbolt, a store that is right for more than a
// queue, and a plain write and sync of as many bytes, which nothing can beat. bbolt has its defaults, but for a free list that suits it better. With a shorter backlog, and pages
// filled to the brim (FillPercent 1), it comes nearer.
func BenchmarkAgainstBbolt(b *testing.B) {
	const batch, turn = 100, 3000 // events; batches: a backlog of 300,000 events, some minutes of a large site
	out := benchOutput(batch)
	dir := b.TempDir()
	q, err := queue.Open(queue.Config{Path: filepath.Join(dir, "q"), Dead: queue.DeadConfig{Path: filepath.Join(dir, "d")}})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	r := q.NewReader()
	defer r.Close()
	db, err := bbolt.Open(filepath.Join(dir, "bbolt"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	f, err := os.Create(filepath.Join(dir, "plain"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	size := 200
	for _, ev := range out.Events {
		size += len(ev.Payload) + 6 // time, lengths, template
	}
	plain := make([]byte, size)

	store := func() error { return q.Append(b.Context(), "csv", make([]byte, 64), out) }
	numbers := make([]uint64, 0, batch)
	drain := func() error {
		numbers = numbers[:0]
		for range batch {
			e, ok, err := r.Next()
			if err != nil || !ok {
				return fmt.Errorf("next: %v, %w", ok, err)
			}
			numbers = append(numbers, e.Number)
		}
		return q.Ack(numbers...)
	}
	name, last, value := []byte("events"), uint64(0), []byte(nil)
	storeBbolt := func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			for i := range out.Events {
				last++
				ev := &out.Events[i] // as much as the queue keeps of it
				v := fmt.Appendf(value[:0], "iot-2/type/%s/id/%s/evt/%s/fmt/%s", ev.Type, ev.ID, ev.Name, ev.Format)
				v = binary.BigEndian.AppendUint64(v, uint64(ev.Time.UnixNano()))
				value = append(v, ev.Payload...)
				if err := bucket.Put(binary.BigEndian.AppendUint64(nil, last), bytes.Clone(value)); err != nil {
					return err
				}
			}
			return bucket.Put([]byte("~checkpoint"), make([]byte, 64))
		})
	}
	drainBbolt := func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			c := tx.Bucket(name).Cursor()
			for range batch {
				if k, _ := c.First(); k == nil {
					return errors.New("an event is missing")
				}
				if err := c.Delete(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	off := int64(0)
	storePlain := func() error {
		if _, err := f.WriteAt(plain, off); err != nil {
			return err
		}
		if off += int64(len(plain)); off > 8<<20 { // as a segment: space that is new
			off = 0
			if err := f.Truncate(0); err != nil {
				return err
			}
		}
		return syscall.Fdatasync(int(f.Fd()))
	}

	var took [5]time.Duration
	events := 0
	for b.Loop() {
		for i, do := range []func() error{store, storeBbolt, storePlain, drain, drainBbolt} {
			began := time.Now()
			for range turn {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
			took[i] += time.Since(began)
		}
		events += batch * turn
	}
	rate := func(d time.Duration) float64 { return float64(events) / d.Seconds() }
	b.ReportMetric(rate(took[0]), "stored/s")
	b.ReportMetric(rate(took[1]), "bbolt-stored/s")
	b.ReportMetric(rate(took[2]), "plain-written/s")
	b.ReportMetric(rate(took[3]), "drained/s")
	b.ReportMetric(rate(took[4]), "bbolt-drained/s")
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "×bbolt-storing")
	b.ReportMetric((took[1]+took[4]).Seconds()/(took[0]+took[3]).Seconds(), "×bbolt")
	b.ReportMetric(took[2].Seconds()/took[0].Seconds(), "×plain")
}

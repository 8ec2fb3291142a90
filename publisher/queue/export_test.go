package queue

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
	"time"

	"legacybridge/mapping"
)

// WriteNewerHeader makes a segment one of a later version.
func WriteNewerHeader(t *testing.T, name string) {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off < headersSize; off += headerSize {
		h := b[off : off+headerSize]
		binary.LittleEndian.PutUint32(h[8:], segmentVersion+1)
		binary.LittleEndian.PutUint32(h[12:], headerSum(h))
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// RecordSeeds are bodies of records of each kind.
func RecordSeeds() [][]byte {
	out := mapping.Output{Counts: []mapping.Count{{Device: "d", Read: 4, Filtered: 1}}, Events: []mapping.Event{
		{Device: "d", Type: "t", ID: "i", Name: "e", Format: "json", QoS: 1, Payload: []byte("{}"), Batch: mapping.Batch{Max: 2, Within: 3}},
		{Device: "d", Type: "t", ID: "i", Name: "e", Format: "json", Part: 1, Parts: 2, Suffix: "-s", Payload: []byte("x")},
		{Device: "d", Type: "t", ID: "i", Name: "e", Format: "json", Part: 2, Parts: 2, Suffix: "-s", Payload: []byte("y")},
	}}
	now := time.Unix(1e9, 5)
	var e encoder
	e.tally("a", &out)
	e.encode(now, "a", []byte("c"), out.Events, []span{{2, 5}, {9, 10}})
	letter := putLetter(nil, now, "a", &mapping.Dead{Device: "d", Code: "C", Why: "w", Raw: []byte("r"), Of: &out.Events[1]}, 1<<20)
	var b books
	b.moveTo("a", []byte("c"))
	b.ledger.add(e.rows)
	state := b.encode(&ranges{first: 3, above: []span{{5, 7}}})
	return [][]byte{e.rec[frameHead:], letter[frameHead:], state[frameHead:]}
}

// DecodeRecord reads a body as a record of that kind, in every way in which one is read.
func DecodeRecord(k byte, body []byte) {
	r := record{kind: kind(k), body: body}
	_, _, _, _ = r.numbers()
	var rep Report
	_ = rep.record(&r)
	_, _ = new(books).decode(body)
	_, _ = parseLetter(body)
	buf := append(make([]byte, headersSize+frameHead), body...)
	sc := scanner{f: memory{buf}, off: headersSize, end: int64(len(buf))}
	for {
		if _, ok, err := sc.next(); !ok || err != nil {
			return
		}
	}
}

// memory is a file that is only read.
type memory struct{ b []byte }

func (m memory) ReadAt(b []byte, off int64) (int, error) {
	return bytes.NewReader(m.b).ReadAt(b, off)
}
func (m memory) WriteAt([]byte, int64) (int, error) { return 0, os.ErrPermission }
func (m memory) Close() error                       { return nil }
func (m memory) Size() (int64, error)               { return int64(len(m.b)), nil }
func (m memory) Truncate(int64) error               { return os.ErrPermission }
func (m memory) Allocate(int64) error               { return os.ErrPermission }
func (m memory) Sync() error                        { return nil }

// A Hit is what lies at an offset of a segment.
type Hit struct {
	Off, Size  int64
	Lo, Hi     uint64 // numbers of its events
	Link       string
	Checkpoint []byte
	Raw        string // of a dead letter
	Own        bool   // it says what left the queue, or the dead letters
}

// At finds the record at an offset of a whole segment; a header or state is the zero Hit.
func At(b []byte, off int64) (hit Hit) {
	h, _, ok := decodeHeader(b, binary.LittleEndian.Uint64(b[16:]))
	if !ok {
		h, _, _ = decodeHeader(b[headerSize:], binary.LittleEndian.Uint64(b[headerSize+16:]))
	}
	sc := scanner{f: memory{b}, at: h.place(), off: headersSize, end: int64(len(b))}
	for {
		r, ok, err := sc.next()
		if !ok || err != nil || off < r.off {
			return Hit{}
		}
		if off >= r.off+r.size {
			continue
		}
		hit := Hit{Off: r.off, Size: r.size, Own: r.kind == kindGone}
		switch r.kind {
		case kindBatch:
			b, _ := parseBatch(r.body)
			c, _ := b.change()
			hit.Lo, hit.Hi = b.base, b.base+uint64(b.n)
			hit.Link, hit.Checkpoint, hit.Own = string(b.link), bytes.Clone(b.checkpoint), len(c.gone) > 0
		case kindLetter:
			l, _ := parseLetter(r.body)
			hit.Raw = string(l.Dead.Raw)
		}
		return hit
	}
}

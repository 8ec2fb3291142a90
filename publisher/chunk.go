package publisher

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"

	"legacybridge/mapping"
)

// A part of a chunked event, without the id, which is inserted after chunkHead when the part is published:
//
//	{"chunk":{"id":"…","n":1,"of":54,"bytes":5242880,"sha256":"…"},"data":"…"}
const (
	chunkHead   = `{"chunk":{"id":"`
	chunkN      = `","n":`
	chunkOf     = `,"of":`
	chunkBytes  = `,"bytes":`
	chunkSHA256 = `,"sha256":"`
	chunkData   = `"},"data":"`
	chunkTail   = `"}`

	// envelopeFixed is the length of an envelope with an id of mapping.MaxNumberLen and without n, of, bytes and data.
	envelopeFixed = len(chunkHead) + mapping.MaxNumberLen + len(chunkN) + len(chunkOf) + len(chunkBytes) +
		len(chunkSHA256) + 2*sha256.Size + len(chunkData) + len(chunkTail)
)

// cut makes parts of at most limit bytes of ev, each an event of its own; nil if there is no room for any data.
func cut(ev mapping.Event, limit int) []mapping.Event {
	whole := ev.Payload
	if ev.Batch.Max > 0 { // it would have left as an array of one
		whole = slices.Concat([]byte("["), whole, []byte("]"))
	}
	of, each := layout(len(whole), limit)
	if of == 0 {
		return nil
	}
	hash := sha256.Sum256(whole)
	middle := append([]byte(chunkOf), strconv.Itoa(of)...)
	middle = append(middle, chunkBytes...)
	middle = strconv.AppendInt(middle, int64(len(whole)), 10)
	middle = append(middle, chunkSHA256...)
	middle = hex.AppendEncode(middle, hash[:])
	middle = append(middle, chunkData...)

	ev.Name += ev.Suffix
	ev.Number, ev.Parts, ev.Batch = mapping.AsChunkID, of, mapping.Batch{}
	parts := make([]mapping.Event, of)
	for i := range parts {
		data := whole[i*each : min((i+1)*each, len(whole))]
		p := make([]byte, 0, envelopeFixed+len(middle)+base64.StdEncoding.EncodedLen(len(data)))
		p = append(append(p, chunkHead...), chunkN...)
		p = strconv.AppendInt(p, int64(i+1), 10)
		p = append(p, middle...)
		p = base64.StdEncoding.AppendEncode(p, data)
		p = append(p, chunkTail...)
		ev.Part, ev.Payload = i+1, p
		parts[i] = ev
	}
	return parts
}

// layout is the smallest number of parts for size bytes, at least 2, and the bytes that each but the last carries;
// 0 if the limit leaves none.
func layout(size, limit int) (of, each int) {
	for digits := 1; ; digits++ {
		// With `of` of that many digits, n = of has them too.
		envelope := envelopeFixed + 2*digits + len(strconv.Itoa(size))
		each = (limit - envelope) / 4 * 3
		if each <= 0 {
			return 0, 0
		}
		if of = max(2, (size+each-1)/each); len(strconv.Itoa(of)) <= digits {
			return of, each
		}
	}
}

package publisher

import (
	"strconv"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// encode is the payload of m as it is published: with the ids of stream, and as an array where it is one.
func encode(m *message, stream string) []byte {
	if !m.join {
		if m.first.Event.Number == mapping.NoNumber {
			return m.first.Event.Payload
		}
		return appendNumbered(make([]byte, 0, numberedSize(&m.first)), stream, &m.first)
	}
	size := len("[]") + numberedSize(&m.first)
	for i := range m.more {
		size += len(",") + numberedSize(&m.more[i])
	}
	b := append(make([]byte, 0, size), '[')
	b = appendNumbered(b, stream, &m.first)
	for i := range m.more {
		b = append(b, ',')
		b = appendNumbered(b, stream, &m.more[i])
	}
	return append(b, ']')
}

// appendNumbered adds e's payload with its id. The gate, and check before sending, have seen that it has a place for it.
func appendNumbered(b []byte, stream string, e *queue.Entry) []byte {
	p := e.Event.Payload
	switch e.Event.Number {
	case mapping.AsMember:
		b = append(b, p[:len(p)-1]...)
		if len(p) > len("{}") {
			b = append(b, ',')
		}
		b = append(b, `"id":"`...)
		b = append(b, stream...)
		b = append(b, '-')
		b = strconv.AppendUint(b, e.Number, 10)
		return append(b, `"}`...)
	case mapping.AsChunkID:
		b = append(b, p[:len(chunkHead)]...)
		b = append(b, stream...)
		b = append(b, '-')
		b = strconv.AppendUint(b, e.First, 10)
		return append(b, p[len(chunkHead):]...)
	}
	return append(b, p...)
}

// numberedSize is what appendNumbered adds at most.
func numberedSize(e *queue.Entry) int {
	switch e.Event.Number {
	case mapping.AsMember:
		return len(e.Event.Payload) + idMember + mapping.MaxNumberLen
	case mapping.AsChunkID:
		return len(e.Event.Payload) + mapping.MaxNumberLen
	}
	return len(e.Event.Payload)
}

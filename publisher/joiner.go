package publisher

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"legacybridge/mapping"
)

const (
	partCost     = 128 // bytes that a part or a remembered id is counted as, beside its data
	joinerMemory = 64 << 20
	joinerAge    = 7 * 24 * time.Hour // the default of queue.max_age
)

// A Joiner puts the parts of chunked events together again, as every consumer has to. It holds no more than its limit of
// memory, oldest out first. The zero value is ready; it belongs to one goroutine.
type Joiner struct {
	MaxBytes int           // 0 = 64 MiB
	MaxAge   time.Duration // of what is incomplete, and of ids remembered; 0 = 7 d

	sets  map[chunkKey]*chunkSet
	order []chunkKey // of sets, by their first part
	bytes int
}

type chunkKey struct{ topic, id string }

// chunkSet is what came of one event. Once it is complete only its id is remembered.
type chunkSet struct {
	chunk
	began    time.Time
	parts    map[int][]byte
	size     int // of the data
	cost     int
	complete bool
}

// chunk is the head of a part.
type chunk struct {
	ID     string `json:"id"`
	N      int    `json:"n"`
	Of     int    `json:"of"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Add takes what a subscriber received. It returns an event when there is one: m itself if it is no part, the joined event with
// the last part of it. The error says that parts were given up; the event returned beside it, if any, is good.
func (j *Joiner) Add(m Message) (event Message, ok bool, err error) {
	head, data, isPart := parsePart(m.Payload)
	if !isPart {
		return m, true, nil
	}
	if j.sets == nil {
		j.sets = map[chunkKey]*chunkSet{}
	}
	key := chunkKey{m.Topic, head.ID}
	set := j.sets[key]
	if set != nil && (set.Of != head.Of || set.Bytes != head.Bytes || set.SHA256 != head.SHA256) {
		if !set.complete {
			err = fmt.Errorf("event %s on %s: its parts do not belong together, begun anew", head.ID, m.Topic)
		}
		j.remove(key)
		set = nil
	}
	if set == nil {
		set = &chunkSet{chunk: head, began: m.Time, parts: map[int][]byte{}}
		j.sets[key] = set
		j.order = append(j.order, key)
		j.charge(set, partCost+len(key.topic)+len(key.id))
	}
	if _, again := set.parts[head.N]; again || set.complete {
		return Message{}, false, err
	}
	if set.size+len(data) > set.Bytes {
		j.remove(key)
		return Message{}, false, fmt.Errorf("event %s on %s: its parts are more than the %d bytes it should have", head.ID, m.Topic, head.Bytes)
	}
	set.parts[head.N] = data
	set.size += len(data)
	j.charge(set, partCost+len(data))
	if len(set.parts) == set.Of {
		whole := make([]byte, 0, set.size)
		for n := 1; n <= set.Of; n++ {
			whole = append(whole, set.parts[n]...)
		}
		hash := sha256.Sum256(whole)
		if len(whole) != set.Bytes || hex.EncodeToString(hash[:]) != set.SHA256 {
			j.remove(key)
			return Message{}, false, fmt.Errorf("event %s on %s: joined it is not what was sent (%d bytes of %d)", head.ID, m.Topic, len(whole), set.Bytes)
		}
		j.charge(set, -set.size-partCost*set.Of)
		set.parts, set.complete = nil, true
		m.Payload, event, ok = whole, Message{}, true
		event = m
	}
	if gone := j.trim(m.Time); gone != nil {
		err = gone
	}
	return event, ok, err
}

// parsePart says whether payload is a part: a JSON object with exactly the members chunk and data, as the sender makes
// them. What only looks like one is an event of somebody else.
func parsePart(payload []byte) (head chunk, data []byte, ok bool) {
	if !bytes.HasPrefix(payload, []byte("{")) {
		return chunk{}, nil, false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(payload, &members) != nil || len(members) != 2 || members["chunk"] == nil || members["data"] == nil {
		return chunk{}, nil, false
	}
	if json.Unmarshal(members["chunk"], &head) != nil || json.Unmarshal(members["data"], &data) != nil {
		return chunk{}, nil, false
	}
	ok = head.ID != "" && len(head.ID) <= mapping.MaxNumberLen && head.Of >= 2 && head.N >= 1 && head.N <= head.Of &&
		head.Bytes >= head.Of && len(head.SHA256) == 2*sha256.Size && len(data) > 0
	return head, data, ok
}

func (j *Joiner) charge(s *chunkSet, bytes int) {
	s.cost += bytes
	j.bytes += bytes
}

func (j *Joiner) remove(key chunkKey) {
	j.bytes -= j.sets[key].cost
	delete(j.sets, key)
	if i := slices.Index(j.order, key); i == 0 {
		j.order = j.order[1:] // the usual one, also where a stranger fills the memory with beginnings
	} else {
		j.order = slices.Delete(j.order, i, i+1)
	}
}

// trim gives up what is too old or too much, and says so of what was incomplete.
func (j *Joiner) trim(now time.Time) (err error) {
	most, age := j.MaxBytes, j.MaxAge
	if most == 0 {
		most = joinerMemory
	}
	if age == 0 {
		age = joinerAge
	}
	for len(j.order) > 0 {
		key := j.order[0]
		set := j.sets[key]
		if j.bytes <= most && now.Sub(set.began) <= age {
			break
		}
		if !set.complete {
			err = fmt.Errorf("event %s on %s: given up with %d of %d parts, for its age or for want of memory", key.id, key.topic, len(set.parts), set.Of)
		}
		j.remove(key)
	}
	return err
}

package publisher

import "legacybridge/mapping"

// Preview is how an admitted event would leave alone: its topic, and its payload without the id, for no number is given.
func (g *Gate) Preview(ev mapping.Event) (topic string, payload []byte) {
	payload = ev.Payload
	if ev.Batch.Max > 0 {
		payload = append(append([]byte{'['}, payload...), ']')
	}
	return string(g.topic.append(nil, &ev)), payload
}

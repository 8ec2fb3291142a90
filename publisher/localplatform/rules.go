package localplatform

import (
	"fmt"

	"legacybridge/publisher/wiotp"
)

// mayPublish says whether a client may publish size bytes on topic, and what they are about. The order is that of the
// causes which a publisher can check for itself.
func (p *Platform) mayPublish(r *wiotp.Rights, topic string, size int) (wiotp.Topic, error) {
	t, err := r.Publish(topic)
	if err != nil {
		return t, err
	}
	if err := wiotp.CheckPayload(len(topic), size, p.maxPayload); err != nil {
		return t, err
	}
	if r.ID.Org == wiotp.Quickstart {
		return t, nil
	}
	return t, p.mayAct(r.ID, Device{Type: t.Type, ID: t.ID})
}

// mayAct settles rules.unregistered for one message of d, or to it.
func (p *Platform) mayAct(by wiotp.ClientID, d Device) error {
	if p.registry.has(d.Type, d.ID) {
		return nil
	}
	first := p.registry.strange.add(d)
	if p.reject {
		return &wiotp.Refusal{Rule: ruleUnregistered, Code: wiotp.NotAuthorized,
			Why: fmt.Sprintf("device %s is not registered (rules.unregistered = \"reject\")", d)}
	}
	if first {
		p.log.Warn("message for a device that is not registered, delivered", "rule", ruleUnregistered, "value", "accept", "device", d.String())
	}
	if by.Class == wiotp.Gateway { // like the platform, which registers what a gateway speaks for
		if _, err := p.registry.adopt(d.Type, d.ID, by.String()); err != nil {
			return &wiotp.Refusal{Rule: ruleUnregistered, Code: wiotp.NotAuthorized, Why: fmt.Sprintf("device %s cannot be registered: %v", d, err)}
		}
	}
	return nil
}

const ruleUnregistered = "unregistered"

// publish takes a message from elsewhere than an MQTT connection: from may publish it as if it had one. A nil error
// means that it was passed on; what is returned is the record to be waited for before it counts as kept, 0 for none.
func (p *Platform) pass(from *wiotp.Rights, topic string, payload []byte, qos byte) (record uint64, err error) {
	t, err := p.mayPublish(from, topic, len(payload))
	if err != nil {
		return 0, err
	}
	p.count(t)
	return p.hub.publish(p.hub.world(from.ID), newMessage(t, payload, qos)), nil
}

// hangUp ends the connection of a client, if it has one.
func (p *Platform) hangUp(id wiotp.ClientID, cause *wiotp.Refusal) {
	p.hub.lock()
	defer p.hub.unlock()
	if s := p.hub.sessions[id.String()]; s != nil && s.conn != nil {
		s.conn.end(cause)
	}
}

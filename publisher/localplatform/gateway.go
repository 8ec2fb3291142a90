package localplatform

import (
	"errors"
	"time"

	"legacybridge/publisher/wiotp"
)

// notice tells a gateway, on its notify topic, what became of something that was acknowledged and not taken: gateways
// are not hung up on.
func (p *Platform) notice(c *conn, request, topic string, err error) {
	r, ok := errors.AsType[*wiotp.Refusal](err)
	if !ok {
		r = &wiotp.Refusal{Code: wiotp.ServerProblem, Why: err.Error()}
	}
	p.refused.Add(1)
	p.refusals.add(c.who(), &wiotp.Refusal{Rule: r.Rule, Code: r.Code, Why: r.Why})
	now := time.Now()
	n := wiotp.GatewayNotice{Request: request, Time: wiotp.StatusTime{Time: now}, Topic: topic, Client: c.id, RC: r.Code, Message: r.Why}
	if t, err := c.rights.ID.ParseTopic(topic); err == nil {
		n.Type, n.ID = t.Type, t.ID
	}
	id := c.rights.ID
	t := wiotp.Topic{Kind: wiotp.Notice, Type: id.Type, ID: id.ID}
	p.hub.publish(p.hub.world(id), &message{topic: t, name: t.String(), payload: n.Append(nil), at: now})
}

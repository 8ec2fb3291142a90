package localplatform

import (
	"fmt"

	"legacybridge/publisher/wiotp"
)

// mayPublish says whether an application may publish size bytes on topic. The order is that of the causes which a
// publisher can check for itself.
func (p *Platform) mayPublish(topic string, size int) error {
	t, err := wiotp.ParseTopic(topic)
	if err != nil {
		return err
	}
	if t.Kind != wiotp.Event {
		return notYet("topic", t.Kind)
	}
	d := Device{Type: t.Type, ID: t.ID}
	if n := wiotp.PayloadSize(len(topic), size); n > p.maxPayload {
		return &wiotp.Refusal{Rule: "max_payload", Code: wiotp.TooLarge,
			Why: fmt.Sprintf("event of %s: payload and topic bytes beyond %d are %d, max_payload is %d", d, wiotp.FreeTopic, n, p.maxPayload)}
	}
	return p.mayAct(d)
}

// mayAct settles rules.unregistered for one event of d.
func (p *Platform) mayAct(d Device) error {
	if p.registry.has(d.Type, d.ID) {
		return nil
	}
	first := p.registry.strange.add(d)
	if p.reject {
		return &wiotp.Refusal{Rule: ruleUnregistered, Code: wiotp.NotAuthorized,
			Why: fmt.Sprintf("device %s is not registered (rules.unregistered = \"reject\")", d)}
	}
	if first {
		p.log.Warn("event for a device that is not registered, delivered", "rule", ruleUnregistered, "value", "accept", "device", d.String())
	}
	return nil
}

const ruleUnregistered = "unregistered"

// maySubscribe says whether an application that has some subscriptions may add filters.
func maySubscribe(filters []string, has func(filter string) bool, have int) error {
	added := map[string]bool{}
	for _, s := range filters {
		f, err := wiotp.ParseFilter(s)
		if err != nil {
			return err
		}
		if f.Kind != wiotp.Event {
			return notYet("filter", f.Kind)
		}
		if !has(s) {
			added[s] = true
		}
	}
	if n := have + len(added); n > wiotp.MaxSubscriptions {
		return &wiotp.Refusal{Rule: "subscriptions", Code: wiotp.TooManyFilters,
			Why: fmt.Sprintf("%d subscriptions, at most %d are allowed", n, wiotp.MaxSubscriptions)}
	}
	return nil
}

func notYet(rule string, k wiotp.Kind) error {
	return &wiotp.Refusal{Rule: rule, Code: wiotp.BadTopic, Why: k.String() + " topics are not supported yet"}
}

package wiotp

import (
	"fmt"
	"strings"
)

// UseTokenAuth is the MQTT user name of devices and gateways; their password is their token.
const UseTokenAuth = "use-token-auth"

// Rights are what one login may do. Role and Group are those of its API key: devices, gateways and Quickstart have
// none.
type Rights struct {
	ID        ClientID
	Role      Role
	Group     Group     // nil: every device
	Wildcards Wildcards // the local platform's reading of Quickstart
}

// Publish says whether r may publish on topic. A missing permission is answered like a bad topic, as the platform does;
// a device outside the resource group is not.
func (r *Rights) Publish(topic string) (Topic, error) {
	var v values
	rule, err := r.ID.find(publish, topic, r.Wildcards, &v)
	if err != nil {
		return Topic{}, err
	}
	t := r.ID.topic(rule, topic, &v)
	if err := r.permitted(rule.need); err != nil {
		return Topic{}, err
	}
	if !r.Sees(t) {
		return Topic{}, &Refusal{Rule: "devices", Code: NotAuthorized, Why: fmt.Sprintf("device %s/%s does not belong to the devices of this API key", t.Type, t.ID)}
	}
	return t, nil
}

// Subscribe says whether r may subscribe to filter. A resource group does not narrow what may be asked for, but what is
// delivered: see Sees.
func (r *Rights) Subscribe(filter string) (Filter, error) {
	need, f, err := r.ID.filter(filter, r.Wildcards)
	if err != nil {
		return Filter{}, err
	}
	return f, r.permitted(need)
}

// Sees says whether a message about t may reach r, once a subscription of r matches.
func (r *Rights) Sees(t Topic) bool {
	return r.Group == nil || t.Kind == AppStatus || !r.ID.Class.IsApplication() || r.Group.Has(t.Type, t.ID)
}

func (r *Rights) permitted(need Permission) error {
	if !r.ID.Class.IsApplication() || r.ID.Org == Quickstart || r.Role.May(need) {
		return nil
	}
	return &Refusal{Rule: "role", Code: BadTopic, Why: fmt.Sprintf("role %s of this API key may not %s; the roles that may: %s",
		r.Role, need, strings.Join(RolesThat(need), ", "))}
}

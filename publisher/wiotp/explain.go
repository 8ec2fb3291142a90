package wiotp

import (
	"fmt"
	"strings"
)

// A Deed is what a client did when it was turned down.
type Deed byte

const (
	LoggedIn   Deed = iota // sent its login
	Subscribed             // asked for filters
	Published              // sent a message
	Idle                   // none of these lately
)

// A Turndown is what a client knows about a refusal. A platform of MQTT 3.1.1 answers a login with a number and
// everything else by closing the connection without a word, so that most refusals can be several things.
type Turndown struct {
	ID      ClientID
	Deed    Deed
	Connack byte      // the answer to a login, 0 if the connection just ended
	Code    CloseCode // from the status topic iot-2/app/APP/mon, if someone listened there
	HasCode bool

	CleanSession bool     // as sent
	TLS          bool     // the connection used it
	Topics       []string // the filters, or the topic of the message
	Payload      int      // bytes of the message
	MaxPayload   int      // 0 = MaxPayload
}

// Causes is what it can be, in words for a technician: what is certain first, then what the client can check itself,
// then what only the platform's administrator sees.
func (t Turndown) Causes() []string {
	if t.HasCode && t.Deed != LoggedIn {
		return t.byCode()
	}
	switch t.Deed {
	case LoggedIn:
		return t.login()
	case Subscribed:
		return t.subscribed()
	case Published:
		return t.published()
	}
	return []string{
		"another client uses the client id " + t.ID.String() + ": the newer connection stays",
		"the platform stopped, or a network in between ended the connection",
	}
}

// String is all causes in one sentence.
func (t Turndown) String() string {
	causes := t.Causes()
	if len(causes) == 1 {
		return causes[0]
	}
	var b strings.Builder
	b.WriteString("it can be: ")
	for i, c := range causes {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "(%d) %s", i+1, c)
	}
	return b.String()
}

func (t Turndown) login() []string {
	if err := t.ID.Validate(); err != nil {
		return []string{err.Error()}
	}
	var causes []string
	switch t.Connack {
	case 0:
		if t.ID.Org == Quickstart && t.TLS {
			causes = append(causes, "quickstart has no TLS: use mqtt://")
		}
		return append(causes, "the port is not the one for this kind of connection (TLS or plain)", "the platform is at its limit of connections, or did not understand the login")
	case ConnackVersion:
		return []string{"the platform does not speak MQTT 3.1.1"}
	case ConnackClientID:
		return []string{"the client id has a character that the platform does not allow"}
	case ConnackUnavailable:
		return []string{"the platform is at its limit of connections, or cannot check logins now: try again later"}
	}
	if t.ID.Class == ScalableApplication && t.ID.Instance == "" {
		causes = append(causes, fmt.Sprintf("clean session %v was sent for A:ORG:APP: the platform's document requires false, servers built from Eclipse Amlen require true; change platform.clean_session (--clean-session), or local.rules.scalable_clean_session where the platform is the embedded one",
			t.CleanSession))
	}
	if t.ID.Class.IsApplication() {
		return append(causes, "API key or token is wrong, or the key was removed", fmt.Sprintf("the API key belongs to another organisation than %s", t.ID.Org),
			"the role of the key may not log in this way")
	}
	return append(causes, fmt.Sprintf("%s/%s is not registered in organisation %s", t.ID.Type, t.ID.ID, t.ID.Org), "its token is wrong",
		"the user name is not "+UseTokenAuth)
}

func (t Turndown) subscribed() []string {
	var maybe []string
	kinds := map[Kind]bool{}
	for _, s := range t.Topics {
		_, f, err := t.ID.filter(s, ServerWildcards)
		_, _, document := t.ID.filter(s, DocumentWildcards)
		switch {
		case err != nil && document != nil:
			return []string{err.Error()}
		case err != nil || document != nil: // one reading of Quickstart forbids it
			maybe = append(maybe, fmt.Sprintf("%s: %s forbids + as device type by the platform's document, as device id by the real server (rules.quickstart_wildcards)", s, Quickstart))
			continue
		}
		kinds[f.Kind] = true
	}
	if t.ID.Org == Quickstart {
		return append(maybe, "another client uses the client id "+t.ID.String())
	}
	for _, need := range [...]struct {
		kind Kind
		p    Permission
	}{{Event, EventRecv}, {Command, CmdRecv}, {DeviceStatus, StatusRecv}, {AppStatus, StatusRecv}} {
		if kinds[need.kind] && t.ID.Class.IsApplication() {
			maybe = append(maybe, fmt.Sprintf("the role of the API key may not %s; the roles that may: %s", need.p, strings.Join(RolesThat(need.p), ", ")))
		}
	}
	return append(maybe, fmt.Sprintf("more than %d subscriptions", t.ID.Class.MaxSubscriptions()), "another client uses the client id "+t.ID.String())
}

func (t Turndown) published() []string {
	topic := strings.Join(t.Topics, " ")
	parsed, err := t.ID.ParseTopic(topic)
	if err != nil {
		return []string{err.Error()}
	}
	limit := t.MaxPayload
	if limit == 0 {
		limit = MaxPayload
	}
	if err := CheckPayload(len(topic), t.Payload, limit); err != nil {
		return []string{err.Error()}
	}
	var maybe []string
	need := EventSend
	if parsed.Kind == Command {
		need = CmdSend
	}
	if t.ID.Org != Quickstart && t.ID.Class.IsApplication() {
		maybe = append(maybe, fmt.Sprintf("the role of the API key may not %s; the roles that may: %s", need, strings.Join(RolesThat(need), ", ")))
	}
	maybe = append(maybe, "the platform does not take this topic", fmt.Sprintf("the platform's limit is below the %d bytes of this message", PayloadSize(len(topic), t.Payload)))
	if t.ID.Org != Quickstart && t.ID.Class.IsApplication() {
		maybe = append(maybe, fmt.Sprintf("device %s/%s is not registered, or not one of the devices that the key may act for", parsed.Type, parsed.ID))
	}
	return append(maybe, "another client uses the client id "+t.ID.String())
}

// byCode narrows down what the platform said.
func (t Turndown) byCode() []string {
	code := t.Code.String()
	switch t.Code {
	case BadTopic:
		causes := t.subscribed
		if t.Deed == Published {
			causes = t.published
		}
		if t.Deed == Idle {
			return []string{code + ": a topic or filter that the platform does not allow, or a role without the permission for it"}
		}
		first := causes()[0]
		return []string{code + ": " + first}
	case NotAuthorized:
		if t.Deed == Published && len(t.Topics) > 0 {
			if parsed, err := t.ID.ParseTopic(t.Topics[0]); err == nil {
				return []string{fmt.Sprintf("%s: device %s/%s is not registered, or not one of the devices that the key may act for", code, parsed.Type, parsed.ID)}
			}
		}
	case TooLarge:
		if t.Deed == Published {
			return []string{fmt.Sprintf("%s: %d bytes count against the limit; set max_payload to that of the platform", code, PayloadSize(len(strings.Join(t.Topics, " ")), t.Payload))}
		}
	case ClientIDReused:
		return []string{code + ": another client uses " + t.ID.String() + ", end one of the two"}
	}
	return []string{code + ": " + t.Code.Advice().String()}
}

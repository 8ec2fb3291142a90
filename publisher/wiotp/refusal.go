package wiotp

import "fmt"

// A Refusal says why the platform turns something down.
type Refusal struct {
	Rule    string    // short name for logs: "topic", "client_id", "max_payload", …
	Code    CloseCode // how the platform closes the connection
	Connack byte      // the answer to a login; 0 where no login was refused
	Why     string    // one sentence for a technician
}

func (r *Refusal) Error() string { return r.Why }

// The MQTT 3.1.1 answers to a refused login.
const (
	ConnackVersion      byte = 1 // protocol version
	ConnackClientID     byte = 2 // client id
	ConnackUnavailable  byte = 3 // try again later
	ConnackUnauthorized byte = 5 // the platform says this, never 4, to wrong credentials
)

func badTopic(rule, format string, args ...any) error {
	return &Refusal{Rule: rule, Code: BadTopic, Why: fmt.Sprintf(format, args...)}
}

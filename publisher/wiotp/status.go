package wiotp

import (
	"encoding/json"
	"fmt"
	"time"
)

// Actions of a Status.
const (
	Connected     = "Connect"
	Disconnected  = "Disconnect"
	FailedConnect = "FailedConnect"
)

// A StatusTime is a time as the platform writes it: ISO 8601 in UTC with milliseconds.
type StatusTime struct{ time.Time }

const statusTime = "2006-01-02T15:04:05.000Z07:00"

func (t StatusTime) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(nil, `"`+statusTime+`"`), nil
}

func (t *StatusTime) UnmarshalJSON(b []byte) (err error) {
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999Z0700"} { // servers write both offsets
		if t.Time, err = time.Parse(`"`+layout+`"`, string(b)); err == nil {
			return nil
		}
	}
	return err
}

// A Status is what stands on iot-2/type/T/id/I/mon and iot-2/app/A/mon. The order of the fields is that on the wire.
type Status struct {
	Action      string
	Time        StatusTime
	ClientAddr  string
	ClientID    string `json:",omitempty"`
	Port        int
	Secure      bool
	Protocol    string      // "mqtt3", "mqtt4"
	User        string      `json:",omitempty"` // the API key; left out for use-token-auth
	CertName    string      `json:",omitempty"`
	ConnectTime *StatusTime `json:",omitempty"` // not on Connect
	Durable     *bool       `json:",omitempty"` // Connect only. The hosted service writes the clean session flag here: do not rely on it
	NewSession  bool        `json:",omitempty"` // Connect of a durable session that was not there before
	CloseCode   CloseCode   `json:",omitempty"` // not on Connect, and not when 0
	Reason      string      `json:",omitempty"`
	ReadBytes   *uint64     `json:",omitempty"` // Disconnect only, client to platform
	ReadMsg     *uint64     `json:",omitempty"`
	WriteBytes  *uint64     `json:",omitempty"` // platform to client
	WriteMsg    *uint64     `json:",omitempty"`
}

// Append writes the message as JSON.
func (s *Status) Append(b []byte) []byte { return appendJSON(b, s) }

// ParseStatus reads a message on a status topic; fields that are not known are passed over.
func ParseStatus(payload []byte) (Status, error) {
	var s Status
	if err := json.Unmarshal(payload, &s); err != nil {
		return Status{}, fmt.Errorf("not a status message: %w", err)
	}
	if s.Action == "" {
		return Status{}, fmt.Errorf("not a status message: it has no Action")
	}
	return s, nil
}

// A GatewayNotice tells a gateway, on its notify topic, what became of a message or subscription that the platform
// acknowledged and then did not take.
type GatewayNotice struct {
	Request string // "publish" or "subscribe"
	Time    StatusTime
	Topic   string
	Type    string `json:",omitempty"` // left out where the topic could not be taken apart
	ID      string `json:"Id,omitempty"`
	Client  string // client id
	RC      CloseCode
	Message string
}

// Append writes the message as JSON.
func (n *GatewayNotice) Append(b []byte) []byte { return appendJSON(b, n) }

// appendJSON is for structs of strings, numbers and times, which always have a JSON form.
func appendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return append(b, "{}"...)
	}
	return append(b, text...)
}

package wiotp

import "strconv"

// A CloseCode says why the platform ended a connection. MQTT 3.1.1 has no place for it on the wire: it stands in
// status messages and in the log of the local platform.
type CloseCode int

// The codes that something here decides by.
const (
	ClosedByClient    CloseCode = 0
	ConnectionLost    CloseCode = 91
	ServerProblem     CloseCode = 92
	ServerShutdown    CloseCode = 93
	BadData           CloseCode = 105
	TooManyFilters    CloseCode = 154
	KeepaliveTimeout  CloseCode = 160
	NoData            CloseCode = 164
	FirstPacketLarge  CloseCode = 165
	BadClientID       CloseCode = 166
	ServerUnavailable CloseCode = 167
	TooManyConns      CloseCode = 173
	SlowConsumer      CloseCode = 178
	NotAuthorized     CloseCode = 180
	BadTopic          CloseCode = 276
	TooLarge          CloseCode = 287
	ClientIDReused    CloseCode = 288
)

// Meaning is the code in words, "" for one that the platform does not have.
func (c CloseCode) Meaning() string { return meanings[c] }

func (c CloseCode) String() string {
	if m := c.Meaning(); m != "" {
		return strconv.Itoa(int(c)) + " " + m
	}
	return strconv.Itoa(int(c))
}

var meanings = map[CloseCode]string{
	ClosedByClient:    "closed by the client",
	ConnectionLost:    "closed by client or network",
	ServerProblem:     "closed by the platform, problem found",
	ServerShutdown:    "platform shut down",
	94:                "closed by an administrator",
	104:               "platform at capacity",
	BadData:           "data not valid MQTT",
	TooManyFilters:    "too many subscriptions",
	KeepaliveTimeout:  "keepalive timeout",
	163:               "TLS handshake failed",
	NoData:            "no login in time",
	FirstPacketLarge:  "first packet too large",
	BadClientID:       "client id not valid",
	ServerUnavailable: "platform not available",
	169:               "client certificate missing",
	170:               "client certificate not valid",
	TooManyConns:      "too many connections",
	175:               "HTTP authorization changed within a connection",
	176:               "authorisation delayed, too many requests",
	SlowConsumer:      "slow consumer",
	NotAuthorized:     "not authorised",
	271:               "message length wrong",
	BadTopic:          "topic not valid",
	TooLarge:          "message too large",
	ClientIDReused:    "client id connected again elsewhere",
	291:               "QoS not allowed",
	292:               "durable session not allowed",
}

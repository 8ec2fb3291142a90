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
	ClosedByAdmin     CloseCode = 94
	BadData           CloseCode = 105
	TooManyFilters    CloseCode = 154
	KeepaliveTimeout  CloseCode = 160
	TLSFailed         CloseCode = 163
	NoData            CloseCode = 164
	FirstPacketLarge  CloseCode = 165
	BadClientID       CloseCode = 166
	ServerUnavailable CloseCode = 167
	TooManyConns      CloseCode = 173
	AuthorizationHTTP CloseCode = 175
	AuthDelayed       CloseCode = 176
	SlowConsumer      CloseCode = 178
	NotAuthorized     CloseCode = 180
	BadTopic          CloseCode = 276
	TooLarge          CloseCode = 287
	ClientIDReused    CloseCode = 288
	BadQoS            CloseCode = 291
	NoDurable         CloseCode = 292
)

// An Advice is what a client does after a close code.
type Advice byte

const (
	Nothing     Advice = iota // the end was meant
	Retry                     // connect again, with the usual back-off
	RetryLater                // connect again, but slowly
	NotThis                   // connect again, but never send the same message or filter
	Stop                      // another instance is running: do not fight it
	Configure                 // someone must change the configuration first
	ReportError               // a fault of the client program
)

func (a Advice) String() string {
	switch a {
	case Nothing:
		return "nothing to do"
	case Retry:
		return "connecting again helps"
	case RetryLater:
		return "connect again later, not at once"
	case NotThis:
		return "connect again, but do not send the same again"
	case Stop:
		return "another client uses this client id: end one of the two"
	case Configure:
		return "the configuration must be changed first"
	}
	return "a fault of the client program: report it"
}

// closeCodes is the platform's list: the meaning and what to do.
var closeCodes = map[CloseCode]struct {
	meaning string
	advice  Advice
}{
	ClosedByClient:    {"closed by the client", Nothing},
	ConnectionLost:    {"closed by client or network", Retry},
	ServerProblem:     {"closed by the platform, problem found", Retry},
	ServerShutdown:    {"platform shut down", Retry},
	ClosedByAdmin:     {"closed by an administrator", Configure},
	104:               {"platform at capacity", RetryLater},
	BadData:           {"data not valid MQTT", ReportError},
	TooManyFilters:    {"too many subscriptions", Configure},
	KeepaliveTimeout:  {"keepalive timeout", Retry},
	TLSFailed:         {"TLS handshake failed", Configure},
	NoData:            {"no login in time", Configure},
	FirstPacketLarge:  {"first packet too large", Configure},
	BadClientID:       {"client id not valid", Configure},
	ServerUnavailable: {"platform not available", Retry},
	169:               {"client certificate missing", Configure},
	170:               {"client certificate not valid", Configure},
	TooManyConns:      {"too many connections", RetryLater},
	AuthorizationHTTP: {"HTTP authorization changed within a connection", ReportError},
	AuthDelayed:       {"authorisation delayed, too many requests", RetryLater},
	SlowConsumer:      {"slow consumer", Retry},
	NotAuthorized:     {"not authorised", Configure},
	271:               {"message length wrong", ReportError},
	BadTopic:          {"topic not valid", NotThis},
	TooLarge:          {"message too large", NotThis},
	ClientIDReused:    {"client id connected again elsewhere", Stop},
	BadQoS:            {"QoS not allowed", Configure},
	NoDurable:         {"durable session not allowed", Configure},
}

// Meaning is the code in words, "" for one that the platform does not have.
func (c CloseCode) Meaning() string { return closeCodes[c].meaning }

// Advice is what a client does about it; a code that is not known is retried slowly.
func (c CloseCode) Advice() Advice {
	if e, ok := closeCodes[c]; ok {
		return e.advice
	}
	return RetryLater
}

func (c CloseCode) String() string {
	if m := c.Meaning(); m != "" {
		return strconv.Itoa(int(c)) + " " + m
	}
	return strconv.Itoa(int(c))
}

// Package wiotp knows the platform's application interface as pure code: client ids, credentials, roles, topics,
// filters, limits, close codes and status messages. One table each, from which publisher, local platform, command line
// and error texts draw:
//
//	clientid.go  who connects: applications (a), scalable ones (A), devices (d), gateways (g)
//	apikey.go    API keys and tokens
//	rules.go     who may publish and subscribe to what, with the permission that it needs; Quickstart beside it
//	form.go      the patterns of topics, long and short
//	topic.go     what is published
//	filter.go    what is subscribed to
//	role.go      the roles of API keys
//	group.go     the devices that a key may act for
//	rights.go    all of these for one login
//	scalable.go  what is special about scalable applications
//	closecode.go why a connection was closed, and what to do then
//	status.go    the platform's own messages: status of devices and applications, notices to gateways
//	explain.go   what a refusal can mean, for a platform that gives no reasons
//
// What is turned down comes back as a *Refusal: the rule, the code of the platform and one sentence. Nothing here
// panics, whatever the input; build and parse are inverse to each other.
package wiotp

import (
	"fmt"
	"time"
)

// MaxPayload is the platform's payload limit in bytes (seed document, "Publishing device events"): it hangs up on more.
const MaxPayload = 131072

// FreeTopic is how many topic bytes are free; those beyond count towards the payload limit.
const FreeTopic = 200

// Limits of the platform.
const (
	MaxSegment             = 36    // characters of an application, instance, device type and device id
	MaxClientID            = 256   // bytes of a whole client id
	MaxTopic               = 65535 // bytes, MQTT's own limit
	MaxSubscriptions       = 500   // of one application connection
	MaxDeviceSubscriptions = 50    // of one device connection
	MaxInflight            = 2000  // unacknowledged events from one application connection
	MaxBuffer              = 5000  // messages kept for a durable subscription; the oldest are dropped
	ThrottleUnit           = 4096  // bytes of a message that count as one unit of a quota
)

// KeptFor is how long a durable session and its messages outlast the connection.
const KeptFor = 24 * time.Hour

// Quickstart is the organisation without keys: a world of its own, with rules of its own.
const Quickstart = "quickstart"

// PayloadSize is what the payload limit is compared with: the payload and the topic bytes beyond FreeTopic.
func PayloadSize(topic, payload int) int {
	return payload + max(0, topic-FreeTopic)
}

// CheckPayload compares a message with the limit, MaxPayload or what is configured.
func CheckPayload(topic, payload, limit int) error {
	n := PayloadSize(topic, payload)
	if n <= limit {
		return nil
	}
	why := fmt.Sprintf("the payload has %d bytes, at most %d are allowed", payload, limit)
	if n > payload {
		why = fmt.Sprintf("the payload and the topic bytes beyond %d are %d bytes, at most %d are allowed", FreeTopic, n, limit)
	}
	return &Refusal{Rule: "max_payload", Code: TooLarge, Why: why}
}

// Units is what a message costs of a quota that is counted in units.
func Units(payload int) int { return 1 + payload/ThrottleUnit }

// Package wiotp knows the platform's application interface as pure code: client ids, credentials, topics, filters,
// limits and close codes. One table each, from which publisher, local platform, command line and error texts draw.
//
// What is turned down comes back as a *Refusal: the rule, the code of the platform and one sentence. Nothing here
// panics, whatever the input; build and parse are inverse to each other.
//
// Roles, the topics of devices and gateways, and the exceptions of Quickstart will each be one more file.
package wiotp

// MaxPayload is the platform's payload limit in bytes (seed document, "Publishing device events"): it hangs up on more.
const MaxPayload = 131072

// FreeTopic is how many topic bytes are free; those beyond count towards the payload limit.
const FreeTopic = 200

// Limits of the platform.
const (
	MaxSegment       = 36    // characters of an application, instance, device type and device id
	MaxClientID      = 256   // bytes of a whole client id
	MaxTopic         = 65535 // bytes, MQTT's own limit
	MaxSubscriptions = 500   // of one application connection
	MaxInflight      = 2000  // unacknowledged events from one application connection
	MaxBuffer        = 5000  // messages kept for one subscriber; what comes on top is dropped
)

// Quickstart is the organisation without keys. It is not supported yet.
const Quickstart = "quickstart"

// PayloadSize is what the payload limit is compared with: the payload and the topic bytes beyond FreeTopic.
func PayloadSize(topic, payload int) int {
	return payload + max(0, topic-FreeTopic)
}

// Package wiotp knows the platform's application interface as pure code: client ids, credentials, topics, filters,
// limits and close codes. One table each, from which publisher, local platform, command line and error texts draw.
package wiotp

// MaxPayload is the platform's payload limit in bytes (seed document, "Publishing device events"): it hangs up on more.
const MaxPayload = 131072

// FreeTopic is how many topic bytes are free; those beyond count towards the payload limit.
const FreeTopic = 200

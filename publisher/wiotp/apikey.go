package wiotp

import (
	"fmt"
	"strings"
)

// APIKey builds an API key: the MQTT user name of an application.
func APIKey(org, random string) string { return "a-" + org + "-" + random }

// CheckAPIKey says whether key is an API key of org: a-ORG-RANDOM. The organisation is compared, not cut out, because
// it may contain hyphens itself. Its errors do not quote the key.
func CheckAPIKey(key, org string) error {
	if err := checkOrg(org); err != nil {
		return err
	}
	if !strings.HasPrefix(key, "a-") {
		return fmt.Errorf("an API key has the form a-%s-RANDOM", org)
	}
	random, ok := strings.CutPrefix(key, APIKey(org, ""))
	if !ok {
		return fmt.Errorf("the API key is not of organisation %s, it must start with a-%s-", org, org)
	}
	if random == "" {
		return fmt.Errorf("the API key ends after the organisation, the random part is missing")
	}
	for i := range len(random) {
		if c := random[i]; !segmentByte[c] || c == '-' {
			return fmt.Errorf("the random part of the API key contains %q, not one of A-Z a-z 0-9 . _", c)
		}
	}
	return nil
}

// CheckToken says whether t can be a token: printable ASCII without spaces, which includes all that the platform
// makes. It catches the newline that an editor left at the end of a secret file. Its errors do not quote the token.
func CheckToken(t Token) error {
	s := t.Reveal()
	if s == "" {
		return fmt.Errorf("the token is empty")
	}
	if len(s) > maxToken {
		return fmt.Errorf("the token has %d characters, at most %d are allowed", len(s), maxToken)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return fmt.Errorf("character %d of %d of the token is a space, a line end or not ASCII", i+1, len(s))
		}
	}
	return nil
}

// maxToken is generous: tokens of the platform have 18 characters, those that people choose 36.
const maxToken = 256

// CheckDeviceToken says whether t may be chosen as the token of a device or gateway: 8 to 36 of the characters that the
// platform takes there. Its errors do not quote the token.
func CheckDeviceToken(t Token) error {
	s := t.Reveal()
	if len(s) < 8 || len(s) > 36 {
		return fmt.Errorf("the token of a device has %d characters, 8 to 36 are allowed", len(s))
	}
	for i := range len(s) {
		if c := s[i]; segmentByte[c] || strings.IndexByte("!&@?*+()", c) >= 0 {
			continue
		}
		return fmt.Errorf("character %d of %d of the device token is not one of A-Z a-z 0-9 - _ ! & @ ? * + . ( )", i+1, len(s))
	}
	return nil
}

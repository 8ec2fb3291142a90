package localplatform

import (
	"crypto/sha256"
	"crypto/subtle"

	"legacybridge/publisher/wiotp"
)

// A user is what an API key may do.
type user struct {
	role  wiotp.Role
	group wiotp.Group // nil: every device
}

// mayAll says whether the key is good for all that legacybridge itself does.
func (u User) mayAll() bool {
	return u.Group == nil && u.Role.May(wiotp.EventSend|wiotp.EventRecv|wiotp.CmdSend|wiotp.CmdRecv|wiotp.StatusRecv)
}

// users are the API keys, each with the digest of its token: digests are of one length, so that comparing them tells
// nothing.
type users map[string]struct {
	digest [sha256.Size]byte
	user   user
}

// newUsers takes the configured keys and the one that legacybridge's own sessions use, which may be one of them.
func newUsers(configured map[string]User, apiKey string, token wiotp.Token) users {
	if len(configured) == 0 {
		configured = map[string]User{apiKey: {Token: token}}
	}
	all := users{}
	for key, u := range configured {
		entry := all[key]
		entry.digest = sha256.Sum256([]byte(u.Token.Reveal()))
		entry.user = user{u.Role, u.Group}
		all[key] = entry
	}
	return all
}

// login says whether an API key and token get in, and what they may do. It takes the same time for an unknown key as
// for a wrong token.
func (p *Platform) login(apiKey, token string) (user, bool) {
	got := sha256.Sum256([]byte(token))
	want, known := p.users[apiKey]
	if subtle.ConstantTimeCompare(got[:], want.digest[:]) != 1 || !known {
		return user{}, false
	}
	return want.user, true
}

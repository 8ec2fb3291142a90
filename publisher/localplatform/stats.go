package localplatform

import (
	"cmp"
	"slices"

	"legacybridge/publisher/wiotp"
)

// A Member is a client of a scalable application, as it shares now.
type Member struct {
	Name      string // its client id; members of A:ORG:APP, who have one id, are told apart by a #number
	Client    string // its client id
	Connected bool
	Sent      uint64 // messages to it; one that is sent again counts again
	Unacked   int    // of these, those that it has not acknowledged
	Waiting   int    // messages that it will be sent
}

// maxMembers bounds what Stats tells.
const maxMembers = 1000

// measure puts into st what h knows.
func (h *hub) measure(st *Stats) {
	var members []Member
	h.lock()
	st.Connections, st.Kept, st.Sent = h.live, len(h.sessions)-h.live, h.sent
	for _, s := range h.sessions {
		unacked := len(s.inflight) + s.resend.live
		st.Waiting += s.pending.live + unacked
		if s.id.Class == wiotp.ScalableApplication {
			members = append(members, Member{s.key, s.id.String(), s.conn != nil, s.sent, unacked, s.pending.live})
		}
	}
	for _, g := range h.groups {
		st.Waiting += g.backlog.live
	}
	h.unlock()
	slices.SortFunc(members, func(a, b Member) int { // #2 before #10
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	if n := len(members); n > maxMembers {
		members, st.MoreMembers = members[:maxMembers], n-maxMembers
	}
	st.Members = members
}

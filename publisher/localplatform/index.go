package localplatform

import "legacybridge/publisher/wiotp"

// A subscription is one filter of one session.
type subscription struct {
	s       *session
	raw     string // as it was sent
	filter  wiotp.Filter
	qos     byte
	group   *group // with scalable applications
	waiting int    // deliveries that wait to be sent
}

// An index finds the subscriptions that match a topic. Topics have few and fixed forms: a filter is found by kind,
// device type, device id and name, each of the three + or not, so that eight look-ups find all.
type index struct {
	subs   map[indexKey][]*subscription
	groups map[indexKey][]*group
	used   [8]int // entries by which of the three are +
}

type indexKey struct {
	kind          wiotp.Kind
	typ, id, name string
}

const anyLevel = "+"

func newIndex() index {
	return index{subs: map[indexKey][]*subscription{}, groups: map[indexKey][]*group{}}
}

// keyOf is where a filter is kept, and which of its parts are +.
func keyOf(f wiotp.Filter) (k indexKey, wild int) {
	k = indexKey{f.Kind, f.Type, f.ID, f.Name}
	if f.Kind == wiotp.AppStatus {
		k.name = f.App
	}
	for bit, s := range [...]string{k.typ, k.id, k.name} {
		if s == anyLevel {
			wild |= 1 << bit
		}
	}
	return k, wild
}

func (x *index) add(sub *subscription) {
	k, wild := keyOf(sub.filter)
	x.used[wild]++
	x.subs[k] = append(x.subs[k], sub)
}

func (x *index) remove(sub *subscription) {
	k, wild := keyOf(sub.filter)
	if rest, ok := without(x.subs[k], sub); ok {
		x.used[wild]--
		put(x.subs, k, rest)
	}
}

func (x *index) addGroup(g *group) {
	k, wild := keyOf(g.filter)
	x.used[wild]++
	x.groups[k] = append(x.groups[k], g)
}

func (x *index) removeGroup(g *group) {
	k, wild := keyOf(g.filter)
	if rest, ok := without(x.groups[k], g); ok {
		x.used[wild]--
		put(x.groups, k, rest)
	}
}

// without keeps the order of the others and changes no slice that somebody may be reading.
func without[T comparable](all []T, one T) (rest []T, found bool) {
	for i := range all {
		if all[i] == one {
			return append(append(rest, all[:i]...), all[i+1:]...), true
		}
	}
	return all, false
}

func put[V comparable](m map[indexKey][]V, k indexKey, v []V) {
	if len(v) == 0 {
		delete(m, k)
		return
	}
	m[k] = v
}

// match calls one for each subscription and shared for each group that t reaches.
func (x *index) match(t wiotp.Topic, one func(*subscription), shared func(*group)) {
	name := t.Name
	if t.Kind == wiotp.AppStatus {
		name = t.App
	}
	for wild, n := range x.used {
		if n == 0 {
			continue
		}
		k := indexKey{t.Kind, t.Type, t.ID, name}
		if wild&1 != 0 {
			k.typ = anyLevel
		}
		if wild&2 != 0 {
			k.id = anyLevel
		}
		if wild&4 != 0 {
			k.name = anyLevel
		}
		for _, sub := range x.subs[k] {
			if sub.filter.Format == t.Format || sub.filter.Format == anyLevel {
				one(sub)
			}
		}
		for _, g := range x.groups[k] {
			if g.filter.Format == t.Format || g.filter.Format == anyLevel {
				shared(g)
			}
		}
	}
}

package mapping

import (
	"slices"
	"strings"
)

// compute orders the computed values, so that each comes after those it uses, and compiles them in that order.
func (b *builder) compute(rules []Computed) {
	index := make(map[string]int, len(rules))
	b.computed = make([]computed, len(rules))
	for i, rule := range rules {
		c := computed{Computed: rule, rounding: b.rounding(rule.Decimals, rule.Min, rule.Max, "computed", rule.Name)}
		x, flaw := parse(rule.Is)
		if flaw != nil {
			b.bad.flaw(b.Name, flaw, "computed", rule.Name, "is")
		}
		c.expression = x
		b.computed[i] = c
		index[rule.Name] = i
	}
	order := order{b: b, index: index, visited: make([]mark, len(rules))}
	for i := range rules {
		if order.visited[i] == unseen {
			order.visit(i)
		}
	}
	for _, i := range order.sorted {
		b.compile(i)
	}
}

// compile checks one computed value, whose inputs are ready, and makes its name known.
func (b *builder) compile(i int) {
	c := &b.computed[i]
	at := len(b.points) + i
	if c.expression == nil || c.expression.tree == nil {
		// Its own fault is said; those who use it need no second one.
		b.scope.symbols[c.Name] = symbol{index: at, kind: absent}
		return
	}
	if flaw := c.expression.compile(&b.scope, absent); flaw != nil {
		b.bad.flaw(b.Name, flaw, "computed", c.Name, "is")
		b.scope.symbols[c.Name] = symbol{index: at, kind: absent}
		return
	}
	if c.expression.typ != number && (c.min != nil || c.max != nil || c.places >= 0) {
		b.fail("MAP004", c.Name+" is "+c.expression.typ.String()+", so it has no decimals, min or max", "", "computed", c.Name)
	}
	unit := c.Unit
	if unit == "" {
		unit = c.expression.unit
	}
	b.scope.symbols[c.Name] = symbol{index: at, kind: c.expression.typ, unit: unit}
	b.need(c.expression)
	b.steps = append(b.steps, step{index: i})
}

// need adds the memories that x is the first to use to the steps before it.
func (b *builder) need(x *expression) {
	for _, in := range x.inputs {
		s := step{memory: true, index: in.index}
		if in.memory && !slices.Contains(b.steps, s) {
			b.steps = append(b.steps, s)
		}
	}
}

// An order sorts computed values by what they use.
type order struct {
	b       *builder
	index   map[string]int
	visited []mark
	path    []string
	sorted  []int
}

type mark byte

const (
	unseen mark = iota
	open
	done
)

func (o *order) visit(i int) {
	c := &o.b.computed[i]
	o.visited[i] = open
	o.path = append(o.path, c.Name)
	if c.expression != nil {
		for _, name := range c.expression.names() {
			j, ok := o.index[name]
			switch {
			case !ok || o.visited[j] == done:
			case o.visited[j] == open:
				ring := append(slices.Clone(o.path[slices.Index(o.path, name):]), name)
				o.b.fail("EXP005", "it is computed from itself: "+strings.Join(ring, " from "), "", "computed", c.Name, "is")
				c.expression.tree = nil
			default:
				o.visit(j)
			}
		}
	}
	o.path = o.path[:len(o.path)-1]
	o.visited[i] = done
	o.sorted = append(o.sorted, i)
}

func (b *builder) event(rule EventRule) event {
	e := event{EventRule: rule}
	path := func(more ...string) []string { return append([]string{"events", rule.Name}, more...) }
	for _, name := range rule.Points {
		i, ok := b.byName[name]
		if !ok {
			b.fail("EVT001", "there is no point or computed "+quote(name), b.meant(name), path("points")...)
			continue
		}
		m := member{index: i, key: string(appendString(nil, name)) + ":"}
		if i < len(b.points) {
			m.names = b.points[i].bitNames
		}
		e.members = append(e.members, m)
	}
	if len(rule.Points) == 0 {
		b.fail("EVT001", "the event has no points, so it would never be sent", "", path("points")...)
	}
	if rule.Every < 0 || rule.AtLeast < 0 || rule.Align && rule.Every == 0 {
		b.fail("EVT003", "align needs every, and neither every nor at_least can be negative", "", path()...)
	}
	for _, c := range rule.OnChange {
		e.changes = append(e.changes, b.change(c, path("on_change", c.Point)))
	}
	if rule.When == "" {
		return e
	}
	x, flaw := parse(rule.When)
	if flaw == nil {
		flaw = x.compile(&b.scope, truth)
	}
	if flaw != nil {
		b.bad.flaw(b.Name, flaw, path("when")...)
		return e
	}
	e.when = x
	b.need(x)
	return e
}

func (b *builder) meant(name string) string {
	if near := nearest(name, b.byName); near != "" {
		return "did you mean " + quote(near) + "?"
	}
	return ""
}

func (b *builder) change(rule Change, path []string) change {
	i, ok := b.byName[rule.Point]
	if !ok {
		b.fail("EVT001", "there is no point or computed "+quote(rule.Point), b.meant(rule.Point), path...)
		return change{}
	}
	c := change{index: i, any: rule.Any, percent: rule.Percent != ""}
	if rule.Any {
		return c
	}
	if kind := b.scope.symbols[rule.Point].kind; kind != number && kind != absent {
		b.fail("EVT002", rule.Point+" is "+kind.String()+", so it cannot move by so much", `write "any"`, path...)
	}
	by, ok := plain(rule.By + rule.Percent)
	if !ok || by.sign() <= 0 || rule.By != "" && rule.Percent != "" {
		b.fail("EVT002", "a change is a number above 0, a percentage above 0, or \"any\"", "", path...)
	}
	c.by = by
	return c
}

// template takes an id like LAB-{row.Linie} apart.
func (b *builder) template() {
	b.states = make(map[string]*state)
	rest := b.ID
	for rest != "" {
		literal, tail, found := strings.Cut(rest, "{")
		if literal != "" {
			b.id = append(b.id, piece{literal: literal})
		}
		if !found {
			break
		}
		column, after, closed := strings.Cut(tail, "}")
		if !closed || !strings.HasPrefix(column, "row.") {
			b.fail("MAP005", quote(b.ID)+" is not an id, nor one with {row.COLUMN} in it", "", "id")
			return
		}
		b.id = append(b.id, piece{column: column})
		rest = after
	}
	ids := b.IDs
	if !slices.ContainsFunc(b.id, func(p piece) bool { return p.column != "" }) {
		ids = []string{b.ID}
	}
	for _, id := range ids {
		if !registrable(id) {
			b.fail("MAP005", quote(id)+" cannot be an id", "an id has 1 to 36 letters, digits, - _ or .", "id")
		}
		b.states[id] = &state{id: id}
	}
	switch {
	case len(ids) == 0:
		b.fail("MAP005", "the id comes from the rows, but no ids are listed", "ids = [\"…\"] lists the only ones that rows may give", "id")
	case ids[0] == b.ID:
		b.only = b.states[b.ID]
	}
}

// registrable says whether the platform takes s as a device id.
func registrable(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 36
}

// finish finds out which points are asked for, and makes room for what is remembered.
func (b *builder) finish() {
	all := len(b.points) + len(b.computed)
	b.memories = b.scope.memories
	b.values = make([]value, all)
	b.recalled = make([]recalled, len(b.memories))
	b.counted = make([]bool, all)
	asked := make([]bool, all)
	ask := func(x *expression) {
		for _, in := range x.inputs {
			if !in.memory {
				asked[in.index] = true
			}
		}
	}
	for i := range b.events {
		for _, m := range b.events[i].members {
			asked[m.index], b.counted[m.index] = true, true
		}
		for _, c := range b.events[i].changes {
			asked[c.index] = true
		}
		if b.events[i].when != nil {
			ask(b.events[i].when)
		}
	}
	for i := range b.commands {
		if b.commands[i].onlyIf != nil {
			ask(b.commands[i].onlyIf)
		}
	}
	for _, spec := range b.memories {
		asked[spec.source] = true
	}
	for i := range b.computed {
		if x := b.computed[i].expression; x != nil {
			ask(x)
		}
	}
	for i := range b.points {
		if asked[i] {
			b.needed = append(b.needed, i)
		}
	}
	for _, s := range b.states {
		s.memories = make([]memory, len(b.memories))
		s.events = make([]eventState, len(b.events))
		for i := range s.events {
			s.events[i].last = make([]value, len(b.events[i].changes))
		}
	}
}

package mapping

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// commands makes the commands of a device ready.
func (b *builder) command(rule Command) command {
	c := command{Command: rule, exact: -1, wants: -1}
	path := func(more ...string) []string { return append([]string{"commands", rule.Name}, more...) }
	scope := scope{symbols: map[string]symbol{}}
	for i, a := range rule.Args {
		ready := b.arg(a, path("args", a.Name))
		c.args = append(c.args, ready)
		kind := number
		switch a.Kind {
		case BoolArg:
			kind = truth
		case TextArg:
			kind = text
		}
		scope.symbols[a.Name] = symbol{index: i, kind: kind}
	}
	if rule.Value != "" {
		b.valueOf(&c, &scope, path("write", "value"))
	} else {
		b.pieces(&c, path("send"))
	}
	if rule.OnlyIf != "" {
		x, flaw := parse(rule.OnlyIf)
		if flaw == nil {
			flaw = x.compile(&b.scope, truth)
		}
		if flaw != nil {
			b.bad.flaw(b.Name, flaw, path("only_if")...)
		} else {
			c.onlyIf = x
			b.need(x)
		}
	}
	b.verify(&c, path("verify"))
	return c
}

func (b *builder) arg(rule Arg, path []string) arg {
	r := b.rounding(-1, rule.Min, rule.Max, path...)
	a := arg{Arg: rule, min: r.min, max: r.max}
	free := arg{Arg: Arg{Name: rule.Name, Kind: rule.Kind}, min: r.min, max: r.max}
	for _, s := range rule.Enum {
		var v value
		var err error
		switch rule.Kind {
		case NumberArg, IntArg:
			err = free.read(&v, rawNumber(s))
		case TextArg:
			err = free.read(&v, s)
		case BoolArg:
			var t bool
			if t, err = strconv.ParseBool(s); err == nil {
				v = value{kind: truth, truth: t}
			}
		}
		if err != nil {
			b.fail("MAP001", quote(s)+" can never be the argument "+rule.Name, "", append(slices.Clone(path), "enum")...)
			continue
		}
		a.enum = append(a.enum, v)
	}
	return a
}

// valueOf compiles the expression over the arguments.
func (b *builder) valueOf(c *command, names *scope, path []string) {
	wants := number
	if c.Type == "bool" {
		wants = truth
	}
	x, flaw := parse(c.Value)
	if flaw == nil {
		flaw = x.compile(names, wants)
	}
	if flaw == nil && len(names.memories) > 0 {
		flaw = &flaw0
	}
	if flaw != nil {
		said := *flaw
		if said.code == "EXP002" {
			said.why = strings.Replace(said.why, "there is no point or computed", "the command has no argument", 1)
		}
		b.bad.flaw(b.Name, &said, path...)
		return
	}
	c.value = x
	c.exact = c.arg(strings.TrimSpace(c.Value))
}

var flaw0 = flaw{offset: -1, code: "EXP007", why: "an argument has no past: rate, delta, avg, ago and windows are for points", help: "use the argument itself"}

var sendArg = regexp.MustCompile(`\{[a-z][a-z0-9_]*\}`)

// pieces takes the text to send apart. Braces around anything else stay as they are. What follows an argument, and what
// ends the whole, no text may bring: else "NAME {n};" with n = "x;RESET" would be two commands, of which one is not listed.
func (b *builder) pieces(c *command, path []string) {
	last := 0
	for _, at := range sendArg.FindAllStringIndex(c.Send, -1) {
		name := c.Send[at[0]+1 : at[1]-1]
		i := c.arg(name)
		if i < 0 {
			b.bad.flaw(b.Name, &flaw{offset: at[0], length: at[1] - at[0], code: "EXP002", why: "the command has no argument " + quote(name), help: "name it in args, or write what is to be sent"}, path...)
			continue
		}
		var ends string
		if next := c.Send[at[1]:]; next != "" {
			ends = string(next[0]) + string(next[len(next)-1])
		}
		if at[0] > last {
			c.pieces = append(c.pieces, sendPiece{text: c.Send[last:at[0]], arg: -1})
		}
		c.pieces = append(c.pieces, sendPiece{arg: i, ends: ends})
		last = at[1]
	}
	if last < len(c.Send) {
		c.pieces = append(c.pieces, sendPiece{text: c.Send[last:], arg: -1})
	}
}

// verify finds what the read-back compares.
func (b *builder) verify(c *command, path []string) {
	v := c.Verify
	if v.Point == "" {
		return
	}
	i := slices.IndexFunc(b.points, func(p point) bool { return p.Name == v.Point })
	if i < 0 {
		b.fail("EVT001", "there is no point "+quote(v.Point), b.meant(v.Point), append(slices.Clone(path), "point")...)
		return
	}
	if t := b.number(v.Tolerance, append(slices.Clone(path), "tolerance")...); t != nil {
		c.tolerance = *t
	}
	kind := number
	switch at := c.arg(v.Point); {
	case len(c.args) == 1:
		c.wants = 0
	case at >= 0:
		c.wants = at
	case len(c.args) > 1 || c.Value == "":
		b.fail("EXP003", "which argument "+v.Point+" must show is not said", "verify compares with the only argument, or with the one that has the name of the point", append(slices.Clone(path), "point")...)
		return
	}
	switch {
	case c.wants < 0 && c.Type == "bool", c.wants >= 0 && c.args[c.wants].Kind == BoolArg:
		kind = truth
	case c.wants >= 0 && c.args[c.wants].Kind == TextArg:
		kind = text
	}
	switch p := &b.points[i]; {
	case p.typ != kind:
		b.fail("EXP003", v.Point+" is "+p.typ.String()+", and what it must show is "+kind.String(), "", append(slices.Clone(path), "point")...)
	case kind != number && v.Tolerance != "":
		b.fail("MAP004", "only a number has a tolerance", "", append(slices.Clone(path), "tolerance")...)
	}
}

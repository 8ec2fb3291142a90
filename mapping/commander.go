package mapping

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/expr-lang/expr/vm"

	"legacybridge/adapters"
)

// A command is a Command made ready.
type command struct {
	Command
	args      []arg
	value     *expression // of Value
	exact     int         // argument that Value is, as it stands; -1: it computes
	pieces    []sendPiece // of Send
	onlyIf    *expression // run by the Mapper
	tolerance decimal
	wants     int // argument that Verify compares with; -1: what was written
}

type arg struct {
	Arg
	min, max *decimal
	enum     []value
}

// A sendPiece is literal text, or an argument.
type sendPiece struct {
	text string
	arg  int    // -1: text
	ends string // of an argument: characters that would end it, or the frame
}

func (c *command) arg(name string) int {
	return slices.IndexFunc(c.args, func(a arg) bool { return a.Name == name })
}

// A Commander decides about commands, by the same rules as a Mapper maps readings. It may be used concurrently.
type Commander struct {
	mu      sync.Mutex // expressions and their machine are used by one at a time
	devices map[string]*device
	floor   time.Time
	machine vm.VM
}

// NewCommander makes the commands of cfg ready. Its error is that of New.
func NewCommander(cfg Config) (*Commander, error) {
	m := &Commander{devices: map[string]*device{}, floor: cfg.ClockFloor}
	m.machine.MemoryBudget = memoryBudget
	var bad ruleErrors
	for _, rules := range cfg.Devices {
		if len(rules.Commands) > 0 {
			m.devices[rules.Name] = newDevice(rules, &bad)
		}
	}
	return m, bad.join()
}

func (m *Commander) find(device, name string) (*device, *command) {
	d := m.devices[device]
	if d == nil {
		return nil, nil
	}
	for i := range d.commands {
		if d.commands[i].Name == name {
			return d, &d.commands[i]
		}
	}
	return d, nil
}

// Rule is the rule of a command; false if the device does not list it.
func (m *Commander) Rule(device, name string) (Command, bool) {
	_, c := m.find(device, name)
	if c == nil {
		return Command{}, false
	}
	return c.Command, true
}

// Decide says what is to be written for a command, or why it is refused. The first reason counts, in the order: writes
// off, not listed, payload, retained, repeated, clock, stale, arguments, too soon, interlock, range.
func (m *Commander) Decide(device, name string, payload []byte, f Facts) (Order, *Refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := Order{Device: device, Command: name}
	if !f.Allowed {
		return o, &Refusal{Code: codeWritesOff, Why: "nothing is written to equipment here: [writes] allow is false"}
	}
	_, c := m.find(device, name)
	if c == nil {
		return o, &Refusal{Code: codeNotListed, Why: fmt.Sprintf("%s does not list a command %s", device, quote(name))}
	}
	g, err := parseGiven(payload)
	if err != nil {
		return o, &Refusal{codePayload, err.Error(), g.id}
	}
	o.ID = g.id
	refuse := func(code, format string, args ...any) (Order, *Refusal) {
		return o, &Refusal{code, fmt.Sprintf(format, args...), g.id}
	}
	switch {
	case f.Retained:
		return refuse(codeRetained, "it is a retained message: an old command that would be carried out at every start. Delete it on the server")
	case f.Dup && g.id == "":
		return refuse(codeDup, "it is sent again and has no id, so nobody knows whether it was carried out before")
	case g.id != "" && f.Repeated != nil && f.Repeated(g.id):
		return refuse(codeRepeated, "a command with the id %s was accepted within the last 24 h", quote(g.id))
	case f.Now.Before(m.floor):
		return refuse(codeClock, "the clock of this machine is not set, so nobody knows how old the command is")
	case g.hasTS && f.Now.Sub(g.ts) > Freshness:
		return refuse(codeStale, "it is %v old, more than %v", f.Now.Sub(g.ts).Truncate(time.Second), Freshness)
	case g.hasTS && g.ts.Sub(f.Now) > Freshness:
		return refuse(codeStale, "its ts is %v ahead, more than %v: compare the clocks", g.ts.Sub(f.Now).Truncate(time.Second), Freshness)
	}
	values, err := c.values(g)
	if err != nil {
		return refuse(codeArg, "%v", err)
	}
	o.Args = c.canonical(values)
	switch wait := c.MinInterval - f.Now.Sub(f.Last); {
	case c.MinInterval > 0 && !f.Last.IsZero() && wait > 0:
		return refuse(codeTooSoon, "%s was accepted less than %v ago: wait %v", name, c.MinInterval, min(wait, c.MinInterval).Round(time.Millisecond))
	case c.OnlyIf != "" && !f.Remote && f.Interlock == False:
		return refuse(codeInterlock, "only_if is not met: %s", c.OnlyIf)
	case c.OnlyIf != "" && !f.Remote && f.Interlock == NotKnown:
		return refuse(codeInterlock, "only_if cannot be told, a value is absent or too old: %s", c.OnlyIf)
	}
	if err := m.settle(c, values, &o); err != nil {
		return refuse(codeRange, "%v", err)
	}
	return o, nil
}

// settle finds what is written, and what the read-back must find.
func (m *Commander) settle(c *command, values []value, o *Order) (err error) {
	var written value
	if c.Value != "" {
		written, err = m.written(c, values)
		if err != nil {
			return err
		}
		o.Value = string(written.append(nil, nil))
	} else if o.Value, err = c.text(values); err != nil {
		return err
	}
	if o.want = written; c.wants >= 0 {
		o.want = values[c.wants]
	}
	return nil
}

// integers are the ranges of the types of whole numbers.
var integers = map[string][2]string{
	"u16": {"0", "65535"}, "i16": {"-32768", "32767"}, "u32": {"0", "4294967295"}, "i32": {"-2147483648", "2147483647"},
	"u64": {"0", "18446744073709551615"}, "i64": {"-9223372036854775808", "9223372036854775807"},
}

// maxExact is the largest whole number that an expression computes exactly.
const maxExact = 1 << 53

// written is the value for the registers, which it fits.
func (m *Commander) written(c *command, values []value) (value, error) {
	var v value
	if c.exact >= 0 {
		v = values[c.exact]
	} else {
		c.value.run(&m.machine, values, nil, &v, &rounding{places: -1})
	}
	switch {
	case v.kind == absent:
		return v, fmt.Errorf("%s gives no number", c.Value)
	case c.Type == "bool":
		return v, nil
	}
	d := v.full
	if limits, whole := integers[c.Type]; whole {
		if c.exact < 0 && math.Abs(d.float()) > maxExact {
			return v, fmt.Errorf("%s gives %s, too large to be computed exactly", c.Value, d.append(nil))
		}
		if !d.whole() {
			d = d.round(0)
		}
		d = d.round(0)
		lowest, _ := plain(limits[0])
		highest, _ := plain(limits[1])
		if d.cmp(lowest) < 0 || d.cmp(highest) > 0 {
			return v, fmt.Errorf("%s gives %s, a %s goes from %s to %s", c.Value, d.append(nil), c.Type, limits[0], limits[1])
		}
	} else if f := d.float(); math.IsInf(f, 0) || c.Type == "f32" && math.IsInf(float64(float32(f)), 0) {
		return v, fmt.Errorf("%s gives %s, more than a %s holds", c.Value, d.append(nil), c.Type)
	}
	v.num, v.full = d, d
	return v, nil
}

// text is what is sent on a line. An argument brings nothing that could end a frame or begin another one.
func (c *command) text(values []value) (string, error) {
	var b strings.Builder
	for _, p := range c.pieces {
		if p.arg < 0 {
			b.WriteString(p.text)
			continue
		}
		v := &values[p.arg]
		if v.kind != text {
			s := string(v.append(nil, nil))
			if strings.ContainsAny(s, "eE") && v.kind == number {
				return "", fmt.Errorf("the argument %s is %s, which no instrument reads: it is too large or small", c.args[p.arg].Name, s)
			}
			b.WriteString(s)
			continue
		}
		for i := range len(v.text) {
			if v.text[i] < ' ' || v.text[i] > '~' {
				return "", fmt.Errorf("the argument %s holds %q: only printable ASCII is sent", c.args[p.arg].Name, v.text[i:i+1])
			}
			if strings.IndexByte(p.ends, v.text[i]) >= 0 && len(c.args[p.arg].enum) == 0 {
				return "", fmt.Errorf("the argument %s holds %q, which would end it in what is sent: %s", c.args[p.arg].Name, v.text[i:i+1], quote(c.Send))
			}
		}
		b.WriteString(v.text)
	}
	return b.String(), nil
}

// Verified says whether a reading shows what an order wanted, and what it shows, for people. known is false if the
// point is not in it.
func (m *Commander) Verified(o Order, r adapters.Reading) (met bool, shows string, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, c := m.find(o.Device, o.Command)
	if c == nil || c.Verify.Point == "" || r.Fault != nil {
		return false, "", false
	}
	i := slices.IndexFunc(d.points, func(p point) bool { return p.Name == c.Verify.Point })
	at := slices.Index(r.Names, c.Verify.Point)
	if i < 0 || at < 0 || at >= len(r.Values) {
		return false, "", false
	}
	p, unit := &d.points[i], ""
	if n := slices.Index(r.Names, p.UnitFrom); p.UnitFrom != "" && n >= 0 && n < len(r.Values) {
		unit = r.Values[n]
	}
	var v value
	if bad := p.read(&v, r.Values[at], unit); bad != nil || v.kind == absent {
		return false, quote(r.Values[at]), true
	}
	shows = string(v.append(nil, p.bitNames))
	if v.kind == number && o.want.kind == number {
		off := v.full.add(o.want.full.neg())
		if off.sign() < 0 {
			off = off.neg()
		}
		return off.cmp(c.tolerance) <= 0, shows, true
	}
	return v.same(&o.want), shows, true
}

// Wanted is what the read-back of an order must find, for people.
func (o Order) Wanted() string { return string(o.want.append(nil, nil)) }

// Reply makes the event that tells what became of a command; empty if its rule wants none.
func (m *Commander) Reply(now time.Time, r Result) Output {
	d, c := m.find(r.Device, r.Command)
	if c == nil || c.Reply == "" {
		return Output{}
	}
	return Output{Events: []Event{d.reply(now, m.floor, c, r)}}
}

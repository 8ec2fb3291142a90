package mapping

import (
	"errors"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// What an expression may cost. It has no loops, so with these it is bounded in time too.
const (
	maxExpression = 4096   // bytes of its text
	maxNodes      = 500    // of its tree
	memoryBudget  = 10_000 // elements of the lists it makes while it runs
)

// An expression is a computed value or a condition. It belongs to the goroutine of its mapper.
type expression struct {
	source  string
	tree    ast.Node
	typ     valueKind
	unit    string // "": unknown
	inputs  []input
	program *vm.Program
	env     reflect.Value // pointer to a struct with one field for each input
}

// An input is a value that an expression needs: without it the result is absent.
type input struct {
	kind   valueKind
	index  int  // among the device's values, or its memories
	memory bool // the result of rate, delta, avg, min, max or ago
	names  []BitName
}

// parse reads text with expr's grammar; what of it is ours is decided by check.
func parse(text string) (*expression, *flaw) {
	if len(text) > maxExpression {
		return nil, &flaw{offset: -1, code: "EXP006", why: "the expression is longer than 4096 bytes", help: "divide it into several computed values"}
	}
	tree, err := parser.ParseWithConfig(text, newConf())
	if err == nil {
		return &expression{source: text, tree: tree.Node}, nil
	}
	f := &flaw{offset: -1, code: "EXP001", why: "does not read as an expression: " + err.Error()}
	if at, ok := errors.AsType[*file.Error](err); ok {
		f.code, f.why = grammarFault(at.Message)
		f.at(text, at.Location)
	}
	return nil, f
}

// grammarFault says what expr's parser found, without its words for tokens.
func grammarFault(message string) (code, why string) {
	switch {
	case strings.Contains(message, "maximum allowed nodes"):
		return "EXP006", "the expression has more than 500 parts"
	case strings.HasPrefix(message, "unexpected token EOF"):
		return "EXP001", "the expression ends too early"
	case message == "literal not terminated":
		return "EXP001", "a text is opened and not closed"
	case strings.HasSuffix(message, "value out of range"), strings.HasSuffix(message, "literal is too large"):
		return "EXP001", "a number is too large"
	}
	if _, token, ok := strings.Cut(message, `unexpected token `); ok {
		if _, quoted, ok := strings.Cut(token, "("); ok {
			return "EXP001", strings.TrimSuffix(quoted, ")") + " cannot stand here"
		}
	}
	return "EXP001", "does not read as an expression: " + message
}

func newConf() *conf.Config {
	c := conf.CreateNew()
	c.MaxNodes = maxNodes
	c.DisableIfOperator = true
	for _, b := range builtin.Builtins {
		c.Disabled[b.Name] = true
	}
	clear(c.Builtins)
	return c
}

// compile checks x against the names of its device and makes it ready to run. wants is number or truth, or absent for any.
func (x *expression) compile(names *scope, wants valueKind) *flaw {
	c := &check{scope: names, x: x}
	tree, t := c.walk(x.tree)
	if c.flaw == nil && wants != absent && t.kind != wants {
		c.fail(x.tree, "EXP003", "gives "+t.kind.String()+", not "+wants.String(), "")
	}
	if c.flaw == nil && (t.kind == set || t.kind == anyOfThem) {
		c.fail(x.tree, "EXP003", "gives "+t.kind.String()+", not one value", "")
	}
	if c.flaw != nil {
		return c.flaw
	}
	x.typ, x.unit = t.kind, t.unit

	fields := make([]reflect.StructField, len(x.inputs))
	for i, in := range x.inputs {
		fields[i] = reflect.StructField{Name: fieldName(i), Type: goTypes[in.kind]}
	}
	x.env = reflect.New(reflect.StructOf(fields))

	config := newConf()
	config.WithEnv(x.env.Interface())
	for name, f := range functions {
		config.Functions[f.inside(name)] = f.builtin(f.inside(name))
	}
	parsed := &parser.Tree{Node: tree, Source: file.NewSource(x.source)}
	if _, err := checker.Check(parsed, config); err != nil {
		return &flaw{offset: -1, code: "EXP003", why: "does not fit together: " + err.Error()}
	}
	program, err := compiler.Compile(parsed, config)
	if err != nil {
		return &flaw{offset: -1, code: "EXP001", why: "does not compile: " + err.Error()}
	}
	x.program = program
	return nil
}

var goTypes = [...]reflect.Type{
	number: reflect.TypeFor[float64](),
	truth:  reflect.TypeFor[bool](),
	text:   reflect.TypeFor[string](),
	set:    reflect.TypeFor[[]string](),
}

// run leaves v absent when an input is, when something is divided by zero, or when the result is no number JSON has.
// Numbers are float64 in here. A condition that is absent is not met.
func (x *expression) run(machine *vm.VM, values []value, memories []recalled, v *value, r *rounding) {
	*v = value{}
	env := x.env.Elem()
	for i := range x.inputs {
		in, field := &x.inputs[i], env.Field(i)
		if in.memory {
			if !memories[in.index].ok {
				return
			}
			field.SetFloat(memories[in.index].x)
			continue
		}
		w := &values[in.index]
		if w.kind != in.kind {
			return
		}
		switch w.kind {
		case number:
			field.SetFloat(w.full.float())
		case truth:
			field.SetBool(w.truth)
		case text:
			field.SetString(w.text)
		case set:
			field.Set(reflect.ValueOf(bitTexts(w.bits, in.names)))
		}
	}
	out, err := machine.Run(x.program, x.env.Interface())
	if err != nil { // divided by zero, or over the budget
		return
	}
	switch out := out.(type) {
	case float64:
		if d, ok := fromFloat(out); ok {
			r.settle(v, d, true)
		}
	case bool:
		v.kind, v.truth = truth, out
	case string:
		v.kind, v.text = text, out
	}
}

func bitTexts(bits uint64, names []BitName) []string {
	texts := []string{}
	for _, n := range names {
		if bits>>n.Bit&1 == 1 {
			texts = append(texts, n.Name)
		}
	}
	return texts
}

// names are the names in x that are no functions.
func (x *expression) names() []string {
	v := &nameVisitor{callees: map[ast.Node]bool{}}
	ast.Walk(&x.tree, v) // callees come after their calls' parts, so they are sorted out at the end
	var names []string
	for _, n := range v.all {
		if !v.callees[n] {
			names = append(names, n.Value)
		}
	}
	return names
}

type nameVisitor struct {
	all     []*ast.IdentifierNode
	callees map[ast.Node]bool
}

func (v *nameVisitor) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		v.all = append(v.all, n)
	case *ast.CallNode:
		v.callees[n.Callee] = true
	}
}

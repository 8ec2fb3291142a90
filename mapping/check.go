package mapping

import (
	"strconv"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// A flaw is what is wrong with one rule, before its device and path are known.
type flaw struct {
	offset, length  int
	code, why, help string
}

// at turns expr's place, in runes, into bytes of text.
func (f *flaw) at(text string, loc file.Location) {
	f.offset, f.length = runeOffset(text, loc.From), 0
	if to := runeOffset(text, loc.To); to > f.offset {
		f.length = to - f.offset
	}
}

func runeOffset(s string, runes int) int {
	n := 0
	for range runes {
		if n >= len(s) {
			break
		}
		_, size := utf8.DecodeRuneInString(s[n:])
		n += size
	}
	return n
}

// A scope is what the expressions of one device can name.
type scope struct {
	symbols  map[string]symbol
	memories []memorySpec
}

type symbol struct {
	index   int // among the device's values
	kind    valueKind
	unit    string
	counter bool
	names   []BitName
}

// A typed is what a part of an expression gives. Literals and quotients have no unit and go with every unit.
type typed struct {
	kind valueKind
	unit string
}

// check walks an expression once: it refuses what is not in our language, checks types and units, and rewrites the tree
// for expr's machine. There every number is a float64, points and memories are fields of the environment, and / and %
// are functions, because a division by zero makes the result absent.
type check struct {
	*scope
	x    *expression
	flaw *flaw // the first one; after it, kinds are absent and nothing more is said
}

func (c *check) fail(n ast.Node, code, why, help string) (ast.Node, typed) {
	if c.flaw == nil {
		c.flaw = &flaw{code: code, why: why, help: help}
		c.flaw.at(c.x.source, n.Location())
	}
	return &ast.NilNode{}, typed{}
}

func (c *check) walk(node ast.Node) (ast.Node, typed) {
	switch n := node.(type) {
	case *ast.IntegerNode:
		return &ast.FloatNode{Value: float64(n.Value)}, typed{kind: number}
	case *ast.FloatNode:
		return &ast.FloatNode{Value: n.Value}, typed{kind: number}
	case *ast.BoolNode:
		return &ast.BoolNode{Value: n.Value}, typed{kind: truth}
	case *ast.StringNode:
		return &ast.StringNode{Value: n.Value}, typed{kind: text}
	case *ast.IdentifierNode:
		return c.name(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.BuiltinNode:
		return c.fail(n, "EXP002", "there is no function "+n.Name, functionHelp)
	}
	return c.fail(node, "EXP001", "this is not part of the expressions here",
		"they have + - * / %, comparisons, && || !, ? :, in [...], texts in single quotes, and functions")
}

func (c *check) name(n *ast.IdentifierNode) (ast.Node, typed) {
	s, ok := c.symbols[n.Value]
	if !ok {
		return c.unknown(n, n.Value)
	}
	if s.kind == absent {
		return c.broken(n)
	}
	if s.kind == anyOfThem {
		return c.fail(n, "EXP003", n.Value+" has an enum of different kinds of values, so nothing can be computed with it", "give all its values one kind")
	}
	return c.input(input{kind: s.kind, index: s.index, names: s.names}), typed{s.kind, s.unit}
}

func (c *check) unknown(n ast.Node, name string) (ast.Node, typed) {
	help := ""
	if near := nearest(name, c.symbols); near != "" {
		help = "did you mean " + strconv.Quote(near) + "?"
	}
	return c.fail(n, "EXP002", "there is no point or computed "+strconv.Quote(name), help)
}

// broken is a computed value whose own fault is reported already.
func (c *check) broken(n ast.Node) (ast.Node, typed) {
	if c.flaw == nil {
		c.flaw = &flaw{}
	}
	return n, typed{}
}

// input gives the field of the environment that holds in.
func (c *check) input(in input) ast.Node {
	for i, known := range c.x.inputs {
		if known.memory == in.memory && known.index == in.index {
			return &ast.IdentifierNode{Value: fieldName(i)}
		}
	}
	c.x.inputs = append(c.x.inputs, in)
	return &ast.IdentifierNode{Value: fieldName(len(c.x.inputs) - 1)}
}

// fieldName is upper case: no point can have it.
func fieldName(i int) string { return "F" + strconv.Itoa(i) }

func (c *check) unary(n *ast.UnaryNode) (ast.Node, typed) {
	inner, t := c.walk(n.Node)
	wants := number
	switch n.Operator {
	case "!", "not":
		wants = truth
	}
	if t.kind != wants {
		return c.fail(n, "EXP003", n.Operator+" takes "+wants.String()+", not "+t.kind.String(), "")
	}
	return &ast.UnaryNode{Operator: n.Operator, Node: inner}, t
}

func (c *check) binary(n *ast.BinaryNode) (ast.Node, typed) {
	if n.Operator == "in" {
		return c.in(n)
	}
	left, l := c.walk(n.Left)
	right, r := c.walk(n.Right)
	if c.flaw != nil {
		return c.fail(n, "", "", "")
	}
	mixed := func(what string) (ast.Node, typed) {
		return c.fail(n, "EXP003", n.Operator+" takes "+what+", here it has "+l.kind.String()+" and "+r.kind.String(), "")
	}
	same := &ast.BinaryNode{Operator: n.Operator, Left: left, Right: right}
	switch n.Operator {
	case "+", "-":
		if n.Operator == "+" && l.kind == text && r.kind == text {
			return same, typed{kind: text}
		}
		if l.kind != number || r.kind != number {
			return mixed("two numbers")
		}
		if l.unit != "" && r.unit != "" && l.unit != r.unit {
			help := ""
			if conversions(l.unit)[r.unit] != nil {
				help = "give both points the same unit and let read_unit say what they are read in"
			}
			return c.fail(n, "EXP004", n.Operator+" takes two values of one unit, here it has "+l.unit+" and "+r.unit, help)
		}
		return same, typed{number, either(l.unit, r.unit)}
	case "*":
		if l.kind != number || r.kind != number {
			return mixed("two numbers")
		}
		return same, typed{kind: number}
	case "/", "%":
		if l.kind != number || r.kind != number {
			return mixed("two numbers")
		}
		return call(functions[n.Operator].inside(""), left, right), typed{kind: number}
	case "<", "<=", ">", ">=":
		if l.kind != number || r.kind != number {
			return mixed("two numbers")
		}
		return same, typed{kind: truth}
	case "==", "!=":
		if l.kind != r.kind || l.kind == set {
			return mixed("two values of one kind")
		}
		return same, typed{kind: truth}
	case "&&", "||", "and", "or":
		if l.kind != truth || r.kind != truth {
			return mixed("two conditions")
		}
		return same, typed{kind: truth}
	}
	return c.fail(n, "EXP001", "there is no operator "+n.Operator+" in the expressions here", "they have + - * / %, comparisons, && || !, ? : and in")
}

// in looks for a value in a list that is written out, or for a text in the texts of a point of type bits.
func (c *check) in(n *ast.BinaryNode) (ast.Node, typed) {
	left, l := c.walk(n.Left)
	var right ast.Node
	if list, ok := n.Right.(*ast.ArrayNode); ok {
		nodes := make([]ast.Node, len(list.Nodes))
		for i, element := range list.Nodes {
			node, t := c.walk(element)
			if t.kind != l.kind {
				return c.fail(element, "EXP003", "this is "+t.kind.String()+", but "+l.kind.String()+" is looked for", "")
			}
			nodes[i] = node
		}
		right = &ast.ArrayNode{Nodes: nodes}
	} else {
		node, t := c.walk(n.Right)
		if t.kind != set || l.kind != text {
			return c.fail(n, "EXP003", "in takes a value and a list of such values, here it has "+l.kind.String()+" and "+t.kind.String(), "write the list as ['a', 'b']")
		}
		right = node
	}
	return &ast.BinaryNode{Operator: "in", Left: left, Right: right}, typed{kind: truth}
}

func (c *check) conditional(n *ast.ConditionalNode) (ast.Node, typed) {
	cond, t := c.walk(n.Cond)
	if t.kind != truth {
		return c.fail(n.Cond, "EXP003", "before ? stands a condition, not "+t.kind.String(), "")
	}
	yes, y := c.walk(n.Exp1)
	no, o := c.walk(n.Exp2)
	if y.kind != o.kind {
		return c.fail(n.Exp2, "EXP003", "both sides of : must be of one kind, here they are "+y.kind.String()+" and "+o.kind.String(), "")
	}
	unit := y.unit
	if unit != o.unit {
		unit = ""
	}
	return &ast.ConditionalNode{Ternary: true, Cond: cond, Exp1: yes, Exp2: no}, typed{y.kind, unit}
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

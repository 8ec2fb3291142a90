package mapping

import (
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

// call checks the call of a function, with memory or without.
func (c *check) call(n *ast.CallNode) (ast.Node, typed) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return c.fail(n, "EXP001", "only a function can be called", functionHelp)
	}
	name := callee.Value
	if len(n.Arguments) > 0 && n.Arguments[0].Location().From < n.Location().From {
		return c.fail(n, "EXP001", "there is no operator | in the expressions here", "write "+name+"(…)")
	}
	if _, windowed := windowOf(n); memoryFunctions[name] || (name == "min" || name == "max") && windowed {
		return c.remember(n, name)
	}
	f, ok := functions[name]
	if !ok {
		return c.fail(n, "EXP002", "there is no function "+name, functionHelp)
	}
	if len(n.Arguments) < f.least || f.most >= 0 && len(n.Arguments) > f.most {
		return c.fail(n, "EXP007", "write "+f.usage, "")
	}
	args := make([]ast.Node, len(n.Arguments))
	unit := ""
	for i, argument := range n.Arguments {
		node, t := c.walk(argument)
		if t.kind != number {
			return c.fail(argument, "EXP003", name+" takes numbers, not "+t.kind.String(), "write "+f.usage)
		}
		args[i] = node
		if f.ofUnit {
			unit = either(unit, t.unit)
		}
	}
	return call(f.inside(name), args...), typed{f.result, unit}
}

// remember makes the call of a function with memory an input: its value is kept up to date with each reading.
func (c *check) remember(n *ast.CallNode, name string) (ast.Node, typed) {
	usage := "write " + name + "(point, '1m')"
	takes := 2
	if name == "delta" || name == "ago" {
		usage, takes = "write "+name+"(point)", 1
	}
	if len(n.Arguments) != takes {
		return c.fail(n, "EXP007", usage, "")
	}
	arg, ok := n.Arguments[0].(*ast.IdentifierNode)
	if !ok {
		return c.fail(n.Arguments[0], "EXP007", "the first argument of "+name+" is the name of a point", usage)
	}
	s, ok := c.symbols[arg.Value]
	if !ok {
		return c.unknown(arg, arg.Value)
	}
	if s.kind == absent {
		return c.broken(arg)
	}
	if s.kind != number && name != "ago" {
		return c.fail(arg, "EXP003", name+" takes a number, "+arg.Value+" is "+s.kind.String(), "")
	}
	spec := memorySpec{fn: name, source: s.index, counter: s.counter}
	if takes == 2 {
		window, ok := windowOf(n)
		if !ok {
			return c.fail(n.Arguments[1], "EXP007", "the window of "+name+" is a span like '500ms', '10s', '15m', '12h' or '7d'", usage)
		}
		spec.window = window
	}
	unit := s.unit
	switch name {
	case "rate":
		unit = ""
	case "ago":
		unit = "s"
	}
	return c.input(input{kind: number, index: c.memory(spec), memory: true}), typed{number, unit}
}

func (s *scope) memory(spec memorySpec) int {
	for i, known := range s.memories {
		if known == spec {
			return i
		}
	}
	s.memories = append(s.memories, spec)
	return len(s.memories) - 1
}

func windowOf(n *ast.CallNode) (time.Duration, bool) {
	if len(n.Arguments) != 2 {
		return 0, false
	}
	s, ok := n.Arguments[1].(*ast.StringNode)
	if !ok {
		return 0, false
	}
	return parseSpan(s.Value)
}

// parseSpan reads a span as the configuration writes it, at most a year.
func parseSpan(s string) (time.Duration, bool) {
	units := []struct {
		name string
		is   time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}}
	for _, u := range units {
		if digits, ok := strings.CutSuffix(s, u.name); ok {
			n, err := strconv.ParseUint(digits, 10, 31)
			if err != nil || n == 0 || float64(n)*float64(u.is) > float64(366*24*time.Hour) {
				return 0, false
			}
			return time.Duration(n) * u.is, true
		}
	}
	return 0, false
}

func call(name string, args ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: args}
}

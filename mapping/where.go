package mapping

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// A Where is a condition over payloads whose members nobody knows beforehand, such as those of a subscriber. It has the
// operators of the expressions in a configuration and no functions. It belongs to one goroutine.
type Where struct {
	program *vm.Program
	machine vm.VM
}

// NewWhere reads a condition. Its names are the members of the payload's data: of "d" where there is one, else of the
// payload itself; and topic.type, topic.id, topic.name and topic.format. A *RuleError says what does not read.
func NewWhere(text string) (*Where, error) {
	x, flaw := parse(text)
	if flaw != nil {
		return nil, &RuleError{Code: flaw.code, Offset: flaw.offset, Why: flaw.why, Help: flaw.help}
	}
	calls := &nameVisitor{callees: map[ast.Node]bool{}}
	if ast.Walk(&x.tree, calls); len(calls.callees) > 0 {
		return nil, &RuleError{Code: "EXP002", Offset: -1, Why: "has a function, and there are none here", Help: "compare members of the payload, as in  weight > 10 && state == \"run\""}
	}
	config := newConf()
	config.WithEnv(map[string]any{})
	config.Strict = false // a name that a payload does not have makes the condition not met
	tree := &parser.Tree{Node: x.tree, Source: file.NewSource(text)}
	if _, err := checker.Check(tree, config); err != nil {
		return nil, &RuleError{Code: "EXP003", Offset: -1, Why: "does not fit together: " + firstLine(err)}
	}
	program, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, &RuleError{Code: "EXP001", Offset: -1, Why: "does not compile: " + firstLine(err)}
	}
	return &Where{program: program}, nil
}

// firstLine leaves out the drawing that expr adds to its errors.
func firstLine(err error) string {
	if at, ok := errors.AsType[*file.Error](err); ok {
		return at.Message
	}
	line, _, _ := bytes.Cut([]byte(err.Error()), []byte("\n"))
	return string(line)
}

// Match says whether payload meets the condition. One that is no JSON object does not, nor one where a name is missing.
func (w *Where) Match(typ, id, name, format string, payload []byte) bool {
	var members map[string]any
	if json.Unmarshal(payload, &members) != nil {
		return false
	}
	if data, ok := members["d"].(map[string]any); ok {
		members = data
	}
	if members == nil {
		return false
	}
	members["topic"] = map[string]any{"type": typ, "id": id, "name": name, "format": format}
	met, err := w.machine.Run(w.program, members)
	return err == nil && met == true
}

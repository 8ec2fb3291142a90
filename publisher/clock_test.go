package publisher

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"strings"
	"testing"
)

// Deadlines, back-off and holds must not notice when the machine's clock is set: they are spans between times that carry the
// monotonic clock. So nothing here may take a time apart, or make one of a number or a text. What is exempt says why.
func TestNoSpanDependsOnTheMachinesClock(t *testing.T) {
	exempt := map[string]string{"drain.go Round": "rounds a span, for people", "session.go Parse": "parses an address"}
	wall := map[string]bool{"Unix": true, "UnixMilli": true, "UnixMicro": true, "UnixNano": true, "Round": true, "Truncate": true, "AddDate": true,
		"UTC": true, "Local": true, "In": true, "Date": true, "Parse": true, "ParseInLocation": true, "Clock": true, "Format": true, "Hour": true,
		"Minute": true, "Second": true, "Nanosecond": true, "MarshalBinary": true, "MarshalText": true}
	list, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, entry := range list {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		looked++
		files := gotoken.NewFileSet()
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		// What time.Minute and its like are called is the only other use of these names.
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !wall[sel.Sel.Name] {
				return true
			}
			where := files.Position(call.Pos())
			key := name + " " + sel.Sel.Name
			if exempt[key] == "" {
				t.Errorf("%s:%d: %s loses the monotonic clock: what it is used for goes wrong when the machine's clock is set", name, where.Line, sel.Sel.Name)
			}
			return true
		})
	}
	if looked < 20 {
		t.Errorf("got %d files, want all of the package", looked)
	}
}

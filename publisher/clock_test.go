package publisher

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"testing"
)

// Deadlines, back-off and holds must not notice when the machine's clock is set: they are spans between times that carry the
// monotonic clock. So the files of the delivery neither take a time apart nor make one of a number or a text.
func TestNoSpanOfTheDeliveryDependsOnTheMachinesClock(t *testing.T) {
	wall := map[string]bool{"Unix": true, "UnixMilli": true, "UnixMicro": true, "UnixNano": true, "AddDate": true, "UTC": true, "Local": true,
		"In": true, "Date": true, "ParseInLocation": true, "Clock": true, "Nanosecond": true, "MarshalBinary": true, "MarshalText": true}
	for _, name := range []string{"acks.go", "batch.go", "breaker.go", "drain.go", "guard.go", "publisher.go", "report.go", "send.go", "session.go", "watch.go", "wire.go"} {
		files := gotoken.NewFileSet()
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && wall[sel.Sel.Name] {
				t.Errorf("%s: %s loses the monotonic clock: what it is used for goes wrong when the machine's clock is set", files.Position(n.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

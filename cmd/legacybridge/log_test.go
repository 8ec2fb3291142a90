package main_test

import (
	"fmt"
	"testing"
	"time"
)

// The CSV log of most tests: a time, a number that counts, a decimal and a word.
const logSite = `
[links.log]
file = "%s"
poll = "50ms"
[links.log.csv]
time = { column = "at", format = "%%Y-%%m-%%d %%H:%%M:%%S", zone = "UTC" }
[devices.log]
type = "logger"
id = "LOG-1"
link = "log"
[devices.log.points]
n = { column = "n", type = "int" }
value = { column = "value", type = "decimal" }
word = { column = "word", type = "text" }
[devices.log.events.row]
timestamp = "row"
`

const (
	logEvent  = "logger/LOG-1/row"
	logHeader = "at,n,value,word"
)

func logTime(n int) time.Time {
	return time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
}

func logRow(n int) string {
	return fmt.Sprintf("%s,%d,%d.%02d,w%x", logTime(n).Format(time.DateTime), n, n%300, n%100, n*7919)
}

// logBody is the event that a row becomes, without its id.
func logBody(n int) string {
	return fmt.Sprintf(`{"d":{"n":%d,"value":%d.%02d,"word":"w%x"},"ts":"%s"}`, n, n%300, n%100, n*7919, stamp(n))
}

func stamp(n int) string { return logTime(n).Format("2006-01-02T15:04:05.000Z") }

func newLogFile(t *testing.T) *rowFile {
	t.Helper()
	return newRowFile(t, logHeader, logRow)
}

// newLogOracle promises every row of a log.
func newLogOracle(rows int) *oracle {
	o := newOracle()
	o.names("log", logEvent)
	for n := 1; n <= rows; n++ {
		o.row(logEvent, logBody(n))
	}
	return o
}

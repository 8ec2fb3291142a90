package main_test

import (
	"fmt"
	"testing"
	"time"
)

func TestBrokerAwayAndRestartedLosesNothing(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	sub := subscribe(t, broker.addr)
	file, state := newLogFile(t), t.TempDir()
	config := siteFile(t, broker.addr, fmt.Sprintf(logSite, file.path))
	b := startBridge(t, config, state)
	var cuts []int

	file.append(1000)
	waitFor(t, 10*time.Second, "first rows", func() bool { return sub.count() >= 500 })
	broker.stop()
	cuts = append(cuts, sub.count())
	// 20 s without a broker where a proof is asked for, while rows go on arriving.
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range proof(20, 200, 200) {
		<-tick.C
		file.append(10)
	}
	broker.start()
	file.append(1000)
	waitFor(t, 20*time.Second, "rows of the outage", func() bool { return sub.distinct() >= file.rows })
	broker.stop()
	cuts = append(cuts, sub.count())
	broker.start()
	file.append(1000)
	waitFor(t, 20*time.Second, "all rows", func() bool { return sub.distinct() >= file.rows })
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT, want 0", code)
	}
	o := newLogOracle(file.rows)
	for _, n := range cuts {
		o.reconnected(n)
	}
	o.books = stats(t, config, state)
	v := o.judge(sub.messages())
	t.Logf("%d rows, 2 restarts of the broker: %d delivered, %d came again", file.rows, v.delivered, v.duplicates)
	o.holdTo(t, v)
	if got := o.books["log"].Delivered; got != uint64(file.rows) {
		t.Errorf("the ledger has %d delivered of %d rows", got, file.rows)
	}
}

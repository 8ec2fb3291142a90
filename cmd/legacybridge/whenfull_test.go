package main_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/queue"
)

// TestEachPolicyDoesWhatItSays fills the queue, or its disk, while the platform is away, in each of the three ways of a
// link to go on without room, and holds the ledger against what the broker got in the end.
func TestEachPolicyDoesWhatItSays(t *testing.T) {
	t.Parallel()        // it waits most of the time
	const rows = 25_001 // far more than there is room for
	for _, policy := range []string{"stop-reading", "drop-oldest", "drop-newest"} {
		for _, disk := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/disk=%t", policy, disk), func(t *testing.T) {
				t.Parallel()
				state, limit, full := t.TempDir(), `max_bytes = "1MiB"`, "queue is full"
				if disk {
					state, limit, full = filepath.Join(newVolumes(t).tmpfs("1m"), "state"), "", "disk full"
				}
				l, w := newRowLog(t), newWitness(t)
				l.flaw = 0 // dead letters wait on a full disk whatever the policy is
				config := siteFile(t, w.addr(), fmt.Sprintf(rowSite, "[queue]\n"+limit, l.files(), fmt.Sprintf("when_full = %q", policy)))
				w.leave()
				b := startBridge(t, config, state)
				l.append(1)
				b.says(t, 20*time.Second, 0, "reading")
				for l.rows < rows {
					l.append(1000)
				}
				var books queue.Account
				if policy == "stop-reading" {
					b.says(t, time.Minute, 0, full)
				} else {
					waitFor(t, time.Minute, "a row of each to be read", func() bool {
						books = stats(t, config, state)["log"]
						return books.Read == rows
					})
					if !strings.Contains(b.stderr.String(), "events were dropped") || books.Dropped == 0 {
						t.Errorf("ledger %+v, want some dropped, and it is said", books)
					}
				}
				w.hold(0)
				waitFor(t, time.Minute, "all to be delivered", func() bool {
					books = stats(t, config, state)["log"]
					return books.Read == rows && books.Waiting == 0
				})
				before := w.count()
				waitFor(t, roomUsed, "a row after there was room", func() bool { l.append(1); return w.count() > before })
				waitFor(t, time.Minute, "all rows to be read", func() bool {
					books = stats(t, config, state)["log"]
					return books.Read == uint64(l.rows) && books.Waiting == 0
				})
				if code := b.stop(); code != 0 {
					t.Errorf("exit code %d after SIGINT, want 0", code)
				}
				books = stats(t, config, state)["log"]
				got := w.messages()
				v := judgeRows(t, l, got)
				if books.Read != uint64(l.rows) || books.Delivered != uint64(len(got)) || books.Dropped != uint64(v.lost["log"]) || books.Filtered+books.Dead+books.Waiting > 0 || v.duplicates > 0 {
					t.Errorf("ledger %+v, the broker got %d, and %d rows never came", books, len(got), v.lost["log"])
				}
				t.Logf("%d read, %d delivered, %d dropped", books.Read, books.Delivered, books.Dropped)
				policyKept(t, policy, got, rows)
			})
		}
	}
}

// policyKept looks at which rows came: all, the newest, or the oldest.
func policyKept(t *testing.T, policy string, got []message, rows int) {
	t.Helper()
	var came []int
	for _, m := range got {
		if n := rowOf(t, m); n <= rows { // the others came when there was room again
			came = append(came, n)
		}
	}
	first, last := came[0], came[len(came)-1]
	switch policy {
	case "stop-reading":
		if len(came) != rows {
			t.Errorf("%d of %d rows came, want all", len(came), rows)
		}
	case "drop-oldest":
		if first == 1 || last != rows || !slices.IsSorted(came) || last-first+1 != len(came) {
			t.Errorf("rows %d to %d came, %d of them; want the newest without a gap", first, last, len(came))
		}
	case "drop-newest":
		kept := 1 // without a gap; a small batch may find room after a large one did not
		for kept < len(came) && came[kept] == kept+1 {
			kept++
		}
		if first != 1 || len(came) >= rows || kept < len(came)*3/4 {
			t.Errorf("rows %d to %d came, %d of them, %d without a gap; want the oldest", first, last, len(came), kept)
		}
	}
}

package queue_test

import (
	"strings"
	"testing"

	"legacybridge/publisher/queue"
)

func TestMissingSegmentIsSaidAndCounted(t *testing.T) {
	for what, lose := range map[string]func(fs *fakeFS){
		"in the middle": func(fs *fakeFS) { _ = fs.Remove(fs.files(".log")[1]) },
		"the last":      func(fs *fakeFS) { list := fs.files(".log"); _ = fs.Remove(list[len(list)-1]) },
	} {
		t.Run(what, func(t *testing.T) {
			fs := newFakeFS()
			cfg := queue.Config{Path: "/q", FS: fs, Segment: 600, Dead: queue.DeadConfig{Path: "/d"}}
			q := open(t, cfg)
			for i := range 5 {
				mustAppend(t, q, "a", "1", events("d", 4*i, 4))
			}
			had := len(all(t, q))
			_ = q.Close()
			lose(fs)
			if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) != 1 || !strings.Contains(rep.Faults[0].What, "missing") {
				t.Errorf("verify: got %+v, %v, want one that says what is missing", rep.Faults, err)
			}
			q = open(t, cfg)
			left := all(t, q) // the committer has said it before it answers
			mustAppend(t, q, "a", "2", events("d", 100, 1))
			lost := uint64(had - len(left))
			st := q.State()
			if st.Lost != lost || lost == 0 || st.Waiting != uint64(len(left))+1 {
				t.Errorf("%d of %d events are gone: got %+v, want them said to be lost", lost, had, st)
			}
			_ = q.Close()
			if list := letters(t, cfg); len(list) != 1 || !strings.Contains(list[0].Dead.Why, "missing") {
				t.Errorf("got dead letters %+v, want one that says what is missing", list)
			}
			q = open(t, cfg)
			if st := q.State(); st.Lost != lost || st.Waiting != uint64(len(left))+1 {
				t.Errorf("after the next start: got %+v", st)
			}
		})
	}
}

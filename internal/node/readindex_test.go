package node

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestReadIndexBatches: readers that come while a question is under way share the
// next one, and nobody is answered by a question that was asked before it came.
func TestReadIndexBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r readIndex
		var asked atomic.Uint64
		start := time.Now()
		ask := func() (uint64, error) {
			begun := uint64(time.Since(start))
			asked.Add(1)
			time.Sleep(time.Millisecond)
			return begun, nil
		}
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Microsecond)
				came := uint64(time.Since(start))
				q := r.join(ask)
				<-q.answered
				if q.err != nil || q.index < came {
					t.Errorf("a reader that came at %d was answered by the question of %d, %v", came, q.index, q.err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if n := asked.Load(); n > 12 {
			t.Errorf("%d questions in 10 ms, each 1 ms long", n)
		}
		if r.asker || r.next != nil {
			t.Error("the asker goes on")
		}
	})
}

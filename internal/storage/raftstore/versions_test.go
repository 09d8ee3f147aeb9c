package raftstore

import (
	"fmt"
	"sync"
	"testing"

	"strongroom/internal/storage"
	"strongroom/internal/storage/storagetest"
)

// Version says what Get says, to whoever has been told of a write, while others
// read and write the same keys and more keys are asked for than are remembered.
func TestVersionFollowsWrites(t *testing.T) {
	s, err := Open(Config{NodeID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Bootstrap(""); err != nil {
		t.Fatal(err)
	}
	<-s.Leadership()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				key := fmt.Sprintf("k%d", w)
				write := storagetest.Put(key, fmt.Sprint(i))
				if i%3 == 2 {
					write = storagetest.Delete(key)
				}
				if err := s.Apply(t.Context(), storage.Batch{Writes: []storage.Write{write}}); err != nil {
					t.Error(err)
					return
				}
				e, err := s.Get(t.Context(), key)
				v, verr := s.Version(t.Context(), key)
				if err != nil || verr != nil || v != e.Version || e.Exists() == write.Delete {
					t.Errorf("%s after write %d: Version %d (%v), Get %d (%v)", key, i, v, verr, e.Version, err)
					return
				}
			}
		})
		wg.Go(func() {
			for i := range 20 * versionLimit {
				s.Version(t.Context(), fmt.Sprintf("k%d", (w+i)%4))
				s.Version(t.Context(), fmt.Sprintf("other%d", w*1_000_000+i))
			}
		})
	}
	wg.Wait()
}

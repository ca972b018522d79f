package disk

import (
	"os"
	"testing"
	"time"
)

// A million records do not hold a start up. Timings are printed, not judged.
func TestAMillion(t *testing.T) {
	if os.Getenv("FRESHET_SOAK") == "" {
		t.Skip("writes more than a gigabyte; FRESHET_SOAK=1 runs it")
	}
	const all, size = 1_000_000, 1024
	o := Options{Dir: t.TempDir(), Limit: 4 << 30}
	s := openAt(t, o)
	began := time.Now()
	for n := range all {
		w := Written{Hash: hashOf(n), Label: label(n), Head: head(n), Body: bodyOf(n, size)}
		if _, err := s.Put(w); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("written in %v, %d bytes", time.Since(began), s.Stats().Bytes)
	for _, killed := range []bool{true, false} {
		end(t, s, killed)
		o.FS, o.Few = unsynced{}, time.Minute
		began = time.Now()
		next, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		opened := time.Since(began)
		if !look(t, next, all-1, size) {
			t.Error("the last one is not there")
		}
		first := time.Since(began)
		<-next.Loaded()
		t.Logf("killed %v: open after %v, the first one read after %v, %d indexed after %v", killed, opened, first, next.Stats().Records, time.Since(began))
		if l, _, _ := next.Ledger(); l.Rewrite(func() [][]byte { return nil }) != nil {
			t.Fatal("the ledger cannot be written")
		}
		s = next
	}
	_ = s.Close()
}

package disk

import "testing"

// A store that is given less of the disk than it had takes no more than that once it is
// open, and keeps what was written last; given more, it takes that.
func TestAnotherLimit(t *testing.T) {
	const size = 9000
	o := Options{Dir: t.TempDir(), Limit: 8 << 20}
	for _, killed := range []bool{true, false} {
		s := openAt(t, o)
		for n := range 500 {
			put(t, s, n, size)
		}
		put(t, s, 1000, 1_500_000) // has a segment of its own
		for n := range 20 {
			put(t, s, 2000+n, size)
		}
		end(t, s, killed)
		less := o
		less.Limit = 2 << 20
		s = openAt(t, less)
		s.loading.Wait()
		if got, really := s.Stats().Bytes, used(t, o.Dir); got > less.Limit || really > less.Limit {
			t.Errorf("killed %v: %d bytes are said to be taken, %d are; %d are allowed", killed, got, really, less.Limit)
		}
		for n := range 20 {
			if !look(t, s, 2000+n, size) {
				t.Errorf("killed %v: record %d of the last ones is not there", killed, n)
			}
		}
		put(t, s, 3000, size)
		end(t, s, killed)
		s = openAt(t, o)
		for n := range 500 {
			put(t, s, n, size)
		}
		for n := range 500 {
			if !look(t, s, n, size) {
				t.Fatalf("killed %v: record %d is not there although there is room", killed, n)
			}
		}
		end(t, s, killed)
	}
}

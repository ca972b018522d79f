package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/freshet/freshet"
)

// While loops fetch, keep and share what many viewers ask for, and it is
// invalidated again and again, nobody who asks after an invalidation gets what was
// before.
func TestErrandsAreNeverStale(t *testing.T) {
	var version, done atomic.Int64
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=1000")
		text := fmt.Sprintf("%d ", version.Load())
		if strings.HasPrefix(r.URL.Path, "/large") {
			text += strings.Repeat("x", 50_000)
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(o.Close)
	d := doorOf(func(c Config) *Edge {
		e, err := New(toRaw(Config{Distributions: manySided(), First: "E1"}, o.URL))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return e
	})
	d.hasty.Store(true)
	d.serve(t, func(l net.Listener) net.Listener { return d.edge.plainDoor(l) })
	var mu sync.Mutex
	invalidate := func() {
		mu.Lock()
		defer mu.Unlock()
		i := version.Add(1)
		if err := d.edge.Invalidate("E1", []freshet.Pattern{[]freshet.Pattern{"/*", "/small*"}[i%2], "/large*"}); err != nil {
			t.Error(err)
		}
		done.Store(i)
	}
	var viewers sync.WaitGroup
	for k := range 8 {
		viewers.Go(func() { d.watch(t, k, &done, invalidate) })
	}
	viewers.Wait()
}

// watch asks for this and that, invalidates it now and then, and wants nothing older than what done says before.
func (d *doorUnderTest) watch(t *testing.T, k int, done *atomic.Int64, invalidate func()) {
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for i := range 50 {
		if (i+k)%7 == 0 {
			invalidate()
		}
		path := fmt.Sprint([]string{"/small", "/large"}[i%2], (i+k)%3)
		least := done.Load()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: www.example.com\r\n\r\n", path)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		text, _, _ := strings.Cut(string(body), " ")
		if got, bad := strconv.ParseInt(text, 10, 64); err != nil || bad != nil || got < least {
			t.Errorf("%s: %d %.20q, %v, want %d at least", path, resp.StatusCode, body, err, least)
			return
		}
	}
}

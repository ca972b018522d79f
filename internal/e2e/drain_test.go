package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hammer sends one request after another, each once the one before was answered,
// on connections that it keeps, until nobody takes them any more. Every second one
// is for what is not cached. It tells lost of each that was not answered.
func hammer(addr string, number, answered *atomic.Int64, lost func(string)) {
	for {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return // the door is closed
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		in := bufio.NewReader(c)
		for i, open := 0, true; open; i++ {
			path := "/a.txt"
			if i%2 == 1 {
				path = fmt.Sprintf("/a.txt?%d", number.Add(1))
			}
			_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, addr)
			var body []byte
			if err == nil {
				var resp *http.Response
				if resp, err = http.ReadResponse(in, nil); err == nil {
					body, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					open = !resp.Close
				}
			}
			if err != nil || string(body) != "hello" {
				lost(fmt.Sprintf("%s, the %d. of its connection: %q, %v", path, i, body, err))
				_ = c.Close()
				return
			}
			answered.Add(1)
		}
		_ = c.Close()
	}
}

// TestNoRequestIsLostWhenItEnds: neither SIGHUP nor SIGTERM leaves a request
// unanswered, be it a hit or a miss, whose viewer was not told that the connection
// ends.
func TestNoRequestIsLostWhenItEnds(t *testing.T) {
	f := start(t, options{config: "distribution: {QueryString: true}\n"})
	f.putVerified(t, f.s3(t), "a.txt", "hello")
	var number, answered atomic.Int64
	var mu sync.Mutex
	var all []string
	var viewers sync.WaitGroup
	for range 8 {
		viewers.Go(func() {
			hammer(hostOf(f.Edge), &number, &answered, func(what string) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, what)
			})
		})
	}
	more := func(n int64) {
		t.Helper()
		before := answered.Load()
		eventually(t, func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(all) > 0 || answered.Load() > before+n {
				return nil
			}
			return fmt.Errorf("%d more answers are %d", n, answered.Load()-before)
		})
	}
	more(300)
	for range 3 {
		_ = f.command.Process.Signal(syscall.SIGHUP)
		more(100)
	}
	f.stop(t)
	viewers.Wait()
	if len(all) > 0 {
		t.Errorf("%d of %d requests were not answered:\n%s", len(all), answered.Load()+int64(len(all)), strings.Join(all, "\n"))
	}
}

package edge

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// Over TLS, too, the edge has the word on what is no request, on a connection
// that has answered before as well; and whoever speaks no TLS is told.
func TestSecureDoorSpeaksForItself(t *testing.T) {
	e := open(t, fixed(200, "x"), Config{})
	self := authority(t)
	addr := listeningTLS(t, e, e.TLS(nil, self))
	for _, secure := range []bool{true, false} {
		var conn net.Conn
		var err error
		if secure {
			conn, err = tls.Dial("tcp", addr, &tls.Config{RootCAs: self.Pool(), ServerName: "e1.cloudfront.localhost"})
		} else {
			conn, err = net.Dial("tcp", addr)
		}
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(2 * time.Minute))
		in := bufio.NewReader(conn)
		if secure {
			fmt.Fprint(conn, "GET /a HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n")
			if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 200 {
				t.Fatalf("%v, %v", resp, err)
			} else if body, _ := io.ReadAll(resp.Body); string(body) != "x" {
				t.Errorf("%q", body)
			}
		}
		fmt.Fprint(conn, "GET /a HTTP/1.1\r\nNonsense\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); resp.StatusCode != 400 || resp.Header.Get("X-Cache") != "Error from cloudfront" || !strings.Contains(string(body), "<h1>400") || err != nil {
			t.Errorf("secure: %v: %d %v %q, %v", secure, resp.StatusCode, resp.Header, body, err)
		}
		resp.Body.Close()
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("the connection goes on: %v", err)
		}
		conn.Close()
	}
}

// What looks like net/http's words within an answer is left alone, wherever the
// pieces fall.
func TestDoorLeavesAnswersAlone(t *testing.T) {
	const words = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
	body := strings.Repeat(words+strings.Repeat(" ", 4096-len(words)), 50)
	d := custom(distribution.Origin{})
	addr := listening(t, open(t, fixed(200, body), Config{Distributions: []distribution.Distribution{d}}))
	statuses, bodies, _ := raw(t, addr, strings.Repeat("GET /a HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n", 3))
	if fmt.Sprint(statuses) != "[200 200 200 200]" {
		t.Fatal(statuses)
	}
	for _, got := range bodies {
		if got != body {
			t.Errorf("%d bytes came, %d were sent", len(got), len(body))
		}
	}
}

// Closing the door ends the handshakes that are under way and what has accepted.
func TestSecureDoorCloses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := open(t, fixed(200, "x"), Config{})
	door := e.Door(l, e.TLS(nil, authority(t)))
	accepting := make(chan error, 1)
	go func() { _, err := door.Accept(); accepting <- err }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	_, _ = conn.Write([]byte{22, 3}) // a handshake begins
	door.Close()
	if err := <-accepting; err == nil {
		t.Error("a closed door has accepted a viewer")
	}
	if n, err := io.Copy(io.Discard, conn); n > 0 || isTimeout(err) {
		t.Errorf("the handshake goes on: %d bytes, %v", n, err)
	}
	door.Close()
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // as it comes from the connection
	return ok && ne.Timeout()
}

// A server that shuts down finishes the answers that are under way, on
// connections of every kind.
func TestShutdownFinishesAnswers(t *testing.T) {
	for _, kind := range []string{"plain", "http1", "http2"} {
		asked, release := make(chan struct{}), make(chan struct{})
		o := &recorded{answer: func(*http.Request) (*http.Response, error) {
			close(asked)
			<-release
			return reply(200, "done"), nil
		}}
		e := open(t, o, Config{})
		self := authority(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		client, url := browserOf(t, l.Addr().String(), self.Pool(), kind == "http2"), "https://e1.cloudfront.localhost/a"
		door := e.Door(l, e.TLS(nil, self))
		if kind == "plain" {
			door.Close()
			if l, err = net.Listen("tcp", l.Addr().String()); err != nil {
				t.Fatal(err)
			}
			door, url = e.Door(l, nil), "http://e1.cloudfront.localhost/a"
		}
		s := Server(e)
		served, answer := make(chan error, 1), make(chan string, 1)
		go func() { served <- s.Serve(door) }()
		go func() {
			resp, err := client.Get(url)
			if err != nil {
				answer <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			answer <- fmt.Sprint(resp.StatusCode, string(body), err)
		}()
		<-asked
		stopping, stopped := make(chan struct{}), make(chan error, 1)
		s.RegisterOnShutdown(func() { close(stopping) })
		go func() { stopped <- s.Shutdown(t.Context()) }()
		<-stopping
		<-served
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			conn.Close()
			t.Errorf("%s: the door is still open", kind)
		}
		close(release)
		if got := <-answer; got != "200done<nil>" {
			t.Errorf("%s: %s", kind, got)
		}
		if err := <-stopped; err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

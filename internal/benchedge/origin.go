package benchedge

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// origin answers /SIZE/anything with so many bytes that may be kept.
type origin struct {
	*http.Server

	addr  string
	body  []byte
	asked atomic.Int64
}

func startOrigin() (*origin, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the origin: %w", err)
	}
	o := &origin{addr: l.Addr().String(), body: []byte(strings.Repeat("freshet.", 16<<20/8))}
	o.Server = &http.Server{Handler: o, ReadHeaderTimeout: time.Minute}
	go func() { _ = o.Serve(l) }()
	return o, nil
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	size, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n, err := strconv.Atoi(size)
	if err != nil || n > len(o.body) {
		http.NotFound(w, r)
		return
	}
	o.asked.Add(1)
	h := w.Header()
	h.Set("Cache-Control", "max-age=3600")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Etag", `"v`+size+`"`)
	h.Set("Last-Modified", "Sat, 01 Aug 2026 00:00:00 GMT")
	h.Set("Content-Length", size)
	_, _ = w.Write(o.body[:n]) // the asker is gone, or not
}

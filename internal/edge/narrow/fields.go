package narrow

// Begin makes r the request of a method for a target, to which fields are to be
// added, as they come over HTTP/2, and reports whether it may become a plain one.
// It keeps its arguments.
func (r *Request) Begin(method string, target, host []byte) bool {
	r.forget()
	r.Head, r.Host, r.Target = method == "HEAD", host, target
	r.Size = len(method) + len(target) + len(host)
	if method != "GET" && !r.Head || len(target) == 0 || target[0] != '/' || len(target) > 1 && target[1] == '/' || len(host) == 0 {
		return false
	}
	for _, c := range target {
		if !inTarget[c] {
			return false
		}
	}
	return escaped(target) && isHost(host) && r.Size <= MaxSize
}

// Add adds a field to a request that was begun, keeps it, and reports whether the
// request may still be a plain one. A name in capitals is none in HTTP/2.
func (r *Request) Add(name, value []byte) bool {
	if len(name) == 0 || len(trim(value)) != len(value) || !isText(value) {
		return false
	}
	for _, c := range name {
		if !inToken[c] || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	if r.Size += len(name) + len(value); r.Size > MaxSize {
		return false
	}
	switch kindOf(name) {
	case host, connection:
		return false
	case foreign:
		if string(name) != "te" || string(value) != "trailers" || len(r.Fields) == MaxFields {
			return false
		}
		r.Fields = append(r.Fields, Field{name, value})
		r.Header += len(name) + len(value)
		return true
	case cookie:
		if r.Cookies { // the pieces of one line
			r.Header -= len("cookie: \r\n") - len("; ")
		}
	}
	return r.take(name, value)
}

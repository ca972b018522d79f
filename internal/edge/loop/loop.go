// Package loop holds the connections of viewers whose requests are answered at
// once, without a goroutine for each: an event loop that knows nothing of HTTP.
// What cannot be answered at once it gives away as a net.Conn, and takes the
// connection back when that is idle again.
//
// There are loops on Linux only; elsewhere Listen says that there are none.
package loop

import (
	"errors"
	"net"
	"time"
)

// Handler answers what arrives. Its methods are called by several loops at once,
// and must neither block nor take long.
type Handler interface {
	// Answer looks at the beginning of in, of which it keeps nothing once it has
	// returned, and says in a what to send and how many bytes it has used.
	Answer(in []byte, a *Answer) Verdict

	// Refusal is what is sent, before the connection ends, to whom there is no
	// room for.
	Refusal() []byte
}

// Foresight is of a Handler that wants to see what has arrived on several
// connections before it answers the first, so that what takes long to be found is
// on its way meanwhile.
type Foresight interface {
	// Foresee is told what Answer is going to be called with next, unless something
	// comes between, with the same a. Answer is then told which of all it is.
	Foresee(all [][]byte, a *Answer)
}

// Verdict is what becomes of the bytes that have arrived.
type Verdict int

// What can become of them.
const (
	More     Verdict = iota // too few to say
	Answered                // the answer is in a
	Lend                    // a.Used bytes are one request that others answer; then the connection comes back
	Leave                   // others answer this and whatever follows
	Wait                    // a.Used bytes are one request, which a.Pending will answer
	Again                   // of Pending.Answer: the handler is to be asked anew
)

// Pending is a request whose viewer waits for its answer with a loop, without a
// goroutine. Its methods are called by the loop, but for Gone, and must neither
// block nor take long.
type Pending interface {
	// Begin is called first. Whoever has the Turn says by it, once, that there is an
	// answer.
	Begin(Turn)

	// Answer is called after that, or when the door closes. What can become of the request is that it is
	// answered, that the handler is asked Again, or that it is lent with the Pending,
	// which Loan.Take returns.
	Answer(a *Answer) Verdict

	// Gone is called, by anyone, in place of Answer or of Loan.Take if the viewer
	// left first.
	Gone()
}

// Turn is a viewer's place.
type Turn interface {
	// Ready may be called at any time, by anyone, also after the viewer has gone.
	Ready()

	// Hold has the viewer's loop tell l of a connection to another server, which c
	// is closed for. It is for Pending.Begin only.
	Hold(c net.Conn, l Listening) (Line, error)
}

// Line is a connection to another server that a loop holds. Its methods are for
// the loop, in whose goroutine those of Handler, Pending and Listening are called.
// They do not wait.
type Line interface {
	Write(p []byte) (int, error) // of as much as the system takes
	Read(p []byte) (int, error)  // fails with ErrNothing if nothing has arrived, and with io.EOF at the end
	Close()

	// Leave gives the connection to whoever wants to wait for what arrives. The line
	// is no more, whatever comes back.
	Leave() (net.Conn, error)
}

// Listening is told of a Line, unless that was closed or left.
type Listening interface {
	Arrived()           // something, or the end
	Tick(now time.Time) // about once a second
	Ending()            // the loop ends soon: the line must be closed or left
}

// ErrNothing is what Line.Read fails with if nothing has arrived.
var ErrNothing = errors.New("nothing has arrived")

// Answer is what is sent for one request.
type Answer struct {
	Viewer Viewer
	Now    time.Time // about
	Own    any       // the handler's, which stays what it is

	Foreseen int // which of what Foresee was told of this is, from 1 on; 0 for none

	Head []byte // to be appended to; it may hold answers that are not sent yet
	Used int    // bytes of the request
	Body []byte // follows the head; nobody may change it until Sent was called
	Sent Sent   // nil if nobody wants to know

	Pending Pending // with Wait

	// In place of Body, Length bytes of a file in memory from At on, for which nobody
	// ever waits. They, and the file, stay what they are until Sent was called.
	File       int
	At, Length int64
}

// body is the number of bytes that follow the head.
func (a *Answer) body() int64 { return int64(len(a.Body)) + a.Length }

// Sent is called once the body was taken by the system, or the connection broke
// off after so many bytes of it: by the loop that had the answer, once.
type Sent interface {
	Sent(bytes int64, complete bool)
}

// Viewer is who is at the other end of a connection.
type Viewer interface {
	IP() string
	Port() string
}

// Options bound what viewers may do. The zero values stand for what is said.
type Options struct {
	Loops int           // 0 for one
	First time.Duration // for the first request, and for any from its first byte to its last; 0 for 10 s
	Idle  time.Duration // between requests; 0 for 2 minutes
	Stall time.Duration // for taking 64 KiB of an answer; 0 for a minute
	Room  *Room         // nil for one of its own

	// Late gets, in place of Accept, those who still wait for their answer when the
	// door closes: a server that shuts down answers nothing that it accepts then. It
	// must not block. Nil for Accept.
	Late func(net.Conn)
}

func (o Options) withDefaults() Options {
	if o.Loops <= 0 {
		o.Loops = 1
	}
	if o.First <= 0 {
		o.First = 10 * time.Second
	}
	if o.Idle <= 0 {
		o.Idle = 2 * time.Minute
	}
	if o.Stall <= 0 {
		o.Stall = time.Minute
	}
	if o.Room == nil {
		o.Room = NewRoom(0, 0)
	}
	return o
}

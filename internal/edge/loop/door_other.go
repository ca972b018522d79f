//go:build !linux

package loop

import (
	"context"
	"net"
)

// Door is a listener of connections that were lent or left.
type Door struct{ net.Listener }

// Listen returns nil: there is no event loop here.
func Listen(net.Listener, Handler, Options) *Door { return nil }

// Run returns at once.
func (*Door) Run(<-chan struct{}) {}

// Wait returns at once.
func (*Door) Wait(context.Context) {}

// CutOff does nothing.
func (*Door) CutOff() {}

// Open is 0.
func (*Door) Open() int { return 0 }

// Deafen does nothing.
func (*Door) Deafen() {}

// Deafen does nothing.
func Deafen(net.Listener) {}

// Waiting returns none.
func Waiting(net.Listener) []net.Conn { return nil }

// Lent is 0.
func (*Door) Lent() int { return 0 }

// mayOpen is what most systems let a process open.
func mayOpen() int { return 10_000 }

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

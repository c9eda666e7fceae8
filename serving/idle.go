package serving

import (
	"time"

	"google.golang.org/grpc"

	"github.com/weir-ml/weir/registry/feature"
)

// attended is a stream whose client may be silent for so long and no longer. One
// that begins a training set and then neither sends nor takes anything would hold a
// place of the few for as long as its connection lives.
type attended struct {
	grpc.ServerStream
	method string
	idle   time.Duration
}

func (a *attended) RecvMsg(m any) error {
	return a.within("sent", func() error { return a.ServerStream.RecvMsg(m) })
}

func (a *attended) SendMsg(m any) error {
	return a.within("taken", func() error { return a.ServerStream.SendMsg(m) })
}

// within gives up waiting, not the call: that one ends with the stream, which
// ends when the handler returns.
func (a *attended) within(what string, call func() error) error {
	type outcome struct {
		err      error
		panicked any
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			o.panicked = recover()
			done <- o
		}()
		o.err = call()
	}()
	t := time.NewTimer(a.idle)
	defer t.Stop()
	select {
	case o := <-done:
		if o.panicked != nil {
			panic(o.panicked) // for the handler's call, not for the process
		}
		return o.err
	case <-t.C:
		return feature.Errorf(feature.Exhausted, "serving.stream", a.method, "the client has %s nothing for %s", what, a.idle).
			WithHint("call again and go on; serving.idle_timeout is how long a call waits")
	}
}

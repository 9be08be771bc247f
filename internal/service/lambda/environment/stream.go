package environment

import (
	"context"
	"errors"
	"sync"
)

// A Stream takes the response of an invocation while the function writes it: as it comes if the function streams it, and
// in one piece otherwise. Only Manager.Invoke calls it, and never after it has returned.
type Stream interface {
	// Begin is called once, before the first Write, with the content type that the runtime sent, which may be empty. It
	// is not called if the invocation fails before it has an answer.
	Begin(contentType string)
	// Write takes a piece of the response and keeps nothing of p. The function waits while it has not returned, up to its
	// timeout. After an error the function goes on, and what it writes is forgotten, as in Lambda when a client goes away.
	Write(p []byte) (int, error)
}

var errStreamOver = errors.New("environment: nobody takes the response any more")

// A handoff brings a response from the connection of the runtime to the goroutine that called Invoke. So a Stream that
// does not return holds up its own caller and nobody else.
type handoff struct {
	pieces chan piece
	taken  chan error
	over   chan struct{} // closed when nobody takes pieces any more
	finish func()        // closes over
}

type piece struct {
	begins      bool
	contentType string
	data        []byte
}

func newHandoff() *handoff {
	h := &handoff{pieces: make(chan piece), taken: make(chan error), over: make(chan struct{})}
	h.finish = sync.OnceFunc(func() { close(h.over) })
	return h
}

// Begin and Write are for the connection.
func (h *handoff) Begin(contentType string) { h.pass(piece{begins: true, contentType: contentType}) }

func (h *handoff) Write(p []byte) (int, error) {
	if err := h.pass(piece{data: p}); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (h *handoff) pass(p piece) error {
	select {
	case h.pieces <- p:
	case <-h.over:
		return errStreamOver
	}
	select {
	case err := <-h.taken:
		return err
	case <-h.over:
		return errStreamOver
	}
}

// serve gives what comes to the stream, until the invocation has ended or ctx has.
func (h *handoff) serve(ctx context.Context, to Stream, done <-chan answer) (*Result, error) {
	defer h.finish()
	for {
		select {
		case a := <-done:
			return a.result, a.err
		case <-ctx.Done():
			return nil, ctx.Err()
		case p := <-h.pieces:
			var err error
			if p.begins {
				to.Begin(p.contentType)
			} else {
				_, err = to.Write(p.data)
			}
			select {
			case h.taken <- err:
			case <-h.over: // the function was ended meanwhile
			}
		}
	}
}

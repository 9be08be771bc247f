package edge

import (
	"context"
	"fmt"
)

// Bounds of what clients send over a WebSocket, in bytes. Who goes over one is closed with the status 1009.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	MaxMessage = 128 << 10
	MaxFrame   = 32 << 10
)

// A Socket is the client's end of a WebSocket.
type Socket interface {
	// Receive waits for the next message, a text. At the end it fails with a *SocketClosed. It is called by one at a time.
	Receive() ([]byte, error)
	// Send sends a message: a text if it is one, and bytes otherwise. It gives up when ctx ends, and the connection with it.
	Send(ctx context.Context, message []byte) error
	// Close says goodbye and ends the connection. It waits for the client's answer, but not for long; Receive fails then.
	Close(status int, reason string)
}

// SocketClosed says how a connection ended.
type SocketClosed struct {
	Status int
	Reason string
	// Ours says that the client has sent what it may not: it is still there, to be told so by Close.
	Ours bool
}

func (e *SocketClosed) Error() string { return fmt.Sprintf("closed with %d %s", e.Status, e.Reason) }

// A Session is a connection that may be opened: its handshake can be completed, by Serve, or not, by Abort.
type Session interface {
	// Protocol is the subprotocol to answer with; "" for none.
	Protocol() string
	// Serve handles what comes over a socket until that is closed, and all that it has begun is over.
	Serve(ctx context.Context, socket Socket)
	// Abort is for a handshake that the client did not complete.
	Abort()
	// Touch says that the client is alive without a message.
	Touch()
}

// A StageID names a stage of an API.
type StageID struct{ API, Stage string }

type stageKey struct{}

// WithStage is ctx for a call of an operation that was sent to a stage.
func WithStage(ctx context.Context, id StageID) context.Context {
	return context.WithValue(ctx, stageKey{}, id)
}

// StageOf is the stage that a call was sent to; false if it was sent to none.
func StageOf(ctx context.Context) (StageID, bool) {
	id, ok := ctx.Value(stageKey{}).(StageID)
	return id, ok
}

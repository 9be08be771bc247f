// Package socket is the wire's side of WebSockets: it opens them and makes edge.Sockets of them.
//
// It promises that no more of a message is held than edge.MaxMessage, that what a client must not send ends as AWS has it
// (bytes with 1003, what is too large with 1009), and that closing is over soon, whatever the client does.
package socket

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"brume/internal/edge"
)

// closePatience is how long a client has to answer a goodbye. The library bounds most of it, but not what is still read of a
// message.
const closePatience = 6 * time.Second

// IsHandshake says whether a request asks for a WebSocket.
func IsHandshake(r *http.Request) bool {
	return has(r.Header, "Connection", "upgrade") && has(r.Header, "Upgrade", "websocket")
}

// IsValid says whether a handshake can be completed. One with a body cannot, as that would be kept for as long as the connection.
// https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
func IsValid(r *http.Request) bool {
	keys := r.Header.Values("Sec-WebSocket-Key")
	if r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 || r.ContentLength != 0 || r.Header.Get("Sec-WebSocket-Version") != "13" || len(keys) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0]))
	return err == nil && len(key) == 16
}

func has(h http.Header, name, token string) bool {
	for _, v := range h.Values(name) {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// Serve completes a handshake and has a session serve the socket. It returns when that is over.
func Serve(w http.ResponseWriter, r *http.Request, session edge.Session) {
	serve(w, r, session, closePatience)
}

func serve(w http.ResponseWriter, r *http.Request, session edge.Session, patience time.Duration) {
	h := &hijacker{ResponseWriter: w}
	options := &websocket.AcceptOptions{
		InsecureSkipVerify: true, // API Gateway leaves it to authorizers where a page may come from
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived: func(context.Context, []byte) bool {
			session.Touch()
			return true
		},
	}
	if p := session.Protocol(); p != "" {
		options.Subprotocols = []string{p}
	}
	served := false
	defer func() {
		if !served { // a session is waited for until it is over
			session.Abort()
		}
	}()
	conn, err := websocket.Accept(h, r, options)
	if err != nil {
		return // the answer is written
	}
	conn.SetReadLimit(-1) // Receive has its own
	defer conn.CloseNow()
	served = true
	// net/http ends the request's context when the client goes away while the handshake is being answered. What a message
	// has begun does not end with its sender, though.
	session.Serve(context.WithoutCancel(r.Context()), &socket{conn, h.conn, patience})
}

// A socket is one WebSocket.
type socket struct {
	conn     *websocket.Conn
	raw      *watched
	patience time.Duration
}

var tooLarge = &edge.SocketClosed{Status: int(websocket.StatusMessageTooBig), Reason: "Message too long", Ours: true}

func (s *socket) Receive() ([]byte, error) {
	kind, r, err := s.conn.Reader(context.Background())
	if err != nil {
		return nil, closed(err)
	}
	if kind != websocket.MessageText {
		return nil, &edge.SocketClosed{Status: int(websocket.StatusUnsupportedData), Reason: "Binary frames are not supported", Ours: true}
	}
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(r, edge.MaxMessage+1))
	switch {
	case s.raw.frames.over.Load() || n > edge.MaxMessage:
		return nil, tooLarge
	case err != nil:
		return nil, closed(err)
	case !utf8.Valid(buf.Bytes()):
		return nil, &edge.SocketClosed{Status: int(websocket.StatusInvalidFramePayloadData), Reason: "Invalid UTF-8", Ours: true}
	}
	return buf.Bytes(), nil
}

// closed says how a connection ended that cannot be read any more.
func closed(err error) *edge.SocketClosed {
	var known websocket.CloseError
	if !errors.As(err, &known) {
		return &edge.SocketClosed{Status: int(websocket.StatusAbnormalClosure), Reason: "Connection closed abnormally"}
	}
	if known.Code == websocket.StatusNoStatusRcvd {
		known.Reason = "Client-side close frame status not set"
	}
	return &edge.SocketClosed{Status: int(known.Code), Reason: known.Reason}
}

// Send sends long messages in frames that clients of AWS know the size of.
func (s *socket) Send(ctx context.Context, message []byte) (err error) {
	kind := websocket.MessageText
	if !utf8.Valid(message) {
		kind = websocket.MessageBinary
	}
	defer func() {
		if err != nil {
			_ = s.conn.CloseNow() // half of a message is no message
		}
	}()
	if len(message) <= edge.MaxFrame {
		return s.conn.Write(ctx, kind, message)
	}
	w, err := s.conn.Writer(ctx, kind)
	if err != nil {
		return err
	}
	for len(message) > 0 {
		n := min(len(message), edge.MaxFrame)
		if _, err := w.Write(message[:n]); err != nil {
			return err
		}
		message = message[n:]
	}
	return w.Close()
}

func (s *socket) Close(status int, reason string) {
	defer time.AfterFunc(s.patience, func() { _ = s.raw.Close() }).Stop()
	_ = s.conn.Close(websocket.StatusCode(status), reason) // a client that is gone already is no error
}

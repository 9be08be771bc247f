package runtimeapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// A Function is what extensions are told of the function that they are to extend.
type Function struct {
	Name, Version, Handler string
	// Extensions are the names of the external extensions that were started, those of their files: the init phase is not
	// over before each of them has registered and asked for an event.
	Extensions []string
}

// maxExtensions is how many extensions an environment can have.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
const maxExtensions = 10

// An extension is a process that has registered for events.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
type extension struct {
	name, id         string
	invoke, shutdown bool   // the events that it wants
	conn             *conn  // where it waits for one; nil if it does not wait
	last             *conn  // on which it has asked last
	event            []byte // for when it asks
	told             bool   // of the shutdown
	left             bool   // its connection ended, or it has asked again, after that
}

// NewFunction is New for a function that may have extensions.
func NewFunction(l net.Listener, f Function) *Environment {
	e := newEnvironment(l)
	e.function = f
	e.serving.Go(e.accept)
	return e
}

// extensionsReady says whether every extension waits for an event. e.mu is held.
func (e *Environment) extensionsReady() bool {
	for _, name := range e.function.Extensions {
		if !slices.ContainsFunc(e.extensions, func(x *extension) bool { return x.name == name }) {
			return false
		}
	}
	return !slices.ContainsFunc(e.extensions, func(x *extension) bool { return x.conn == nil && !x.left })
}

// announce sends an event to the extensions that want it. e.mu is held; the writing is done after send is called without it.
func (e *Environment) announce(event []byte, wants func(*extension) bool) (send func()) {
	var conns []*conn
	for _, x := range e.extensions {
		switch {
		case !wants(x):
		case x.conn != nil:
			conns = append(conns, x.conn)
			x.conn = nil
		default:
			x.event = event
		}
	}
	return func() {
		for _, c := range conns {
			c.sendEvent(event)
		}
	}
}

// invokeEvent is what extensions are told of k.
func (k *call) invokeEvent() []byte {
	type tracing struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	b, err := json.Marshal(struct {
		EventType   string  `json:"eventType"`
		DeadlineMs  int64   `json:"deadlineMs"`
		RequestID   string  `json:"requestId"`
		FunctionARN string  `json:"invokedFunctionArn"`
		Tracing     tracing `json:"tracing"`
	}{"INVOKE", k.Deadline.UnixMilli(), k.RequestID, k.FunctionARN, tracing{"X-Amzn-Trace-Id", k.TraceID}})
	if err != nil {
		panic(err) // strings and a number can be written
	}
	return b
}

// Extended says whether an extension wants to be told of the end; then Shutdown is to be called before the end.
func (e *Environment) Extended() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failure == nil && slices.ContainsFunc(e.extensions, func(x *extension) bool { return x.shutdown })
}

// Shutdown tells the extensions that want to know that the environment ends, and why, and waits until they have finished or
// ctx, which has a deadline, ends.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html#runtimes-lifecycle-shutdown
func (e *Environment) Shutdown(ctx context.Context, reason string) {
	deadline, _ := ctx.Deadline()
	event := fmt.Appendf(nil, `{"eventType":"SHUTDOWN","shutdownReason":%q,"deadlineMs":%d}`, reason, deadline.UnixMilli())
	e.mu.Lock()
	send := e.announce(event, func(x *extension) bool {
		wants := x.shutdown && !x.left
		x.told = x.told || wants
		return wants
	})
	e.mu.Unlock()
	send()
	for {
		e.mu.Lock()
		over := e.failure != nil || !slices.ContainsFunc(e.extensions, func(x *extension) bool { return x.told && !x.left })
		changed := make(chan struct{})
		e.waiters = append(e.waiters, changed)
		e.mu.Unlock()
		if over {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (c *conn) handleRegister(r *request) error {
	body, err := c.readBody(r)
	if err != nil && err != errTooLarge {
		return err
	}
	var want struct{ Events []string }
	if err != nil || len(body.data) > 0 && json.Unmarshal(body.data, &want) != nil {
		c.replyError(r, 400, "InvalidRequestFormat", "The request is not a JSON object with events")
		return nil
	}
	x := &extension{name: r.extension, id: newIdentifier()}
	for _, event := range want.Events {
		switch event {
		case "INVOKE":
			x.invoke = true
		case "SHUTDOWN":
			x.shutdown = true
		default:
			c.replyError(r, 400, "Extension.InvalidEventType", "The event type is not INVOKE or SHUTDOWN")
			return nil
		}
	}
	e := c.env
	e.mu.Lock()
	problem := ""
	switch {
	case x.name == "" || strings.ContainsAny(x.name, "/\""):
		problem = "Extension.InvalidExtensionName"
	case e.state != started && !slices.Contains(e.function.Extensions, x.name):
		problem = "Extension.RegistrationClosed"
	case len(e.extensions) == maxExtensions:
		problem = "Extension.TooManyExtensions"
	case slices.ContainsFunc(e.extensions, func(o *extension) bool { return o.name == x.name }):
		problem = "Extension.AlreadyRegistered"
	default:
		e.extensions = append(e.extensions, x)
	}
	e.mu.Unlock()
	if problem != "" {
		c.replyError(r, 403, problem, "The extension cannot be registered")
		return nil
	}
	answer, err := json.Marshal(struct {
		Name    string `json:"functionName"`
		Version string `json:"functionVersion"`
		Handler string `json:"handler"`
	}{e.function.Name, e.function.Version, e.function.Handler})
	if err != nil {
		panic(err) // strings can be written
	}
	c.replyWith(200, r.closing, "Lambda-Extension-Identifier: "+x.id+"\r\n", string(answer))
	return nil
}

// known finds the extension that sent r, or refuses it. e.mu is not held.
func (c *conn) known(r *request) *extension {
	e := c.env
	e.mu.Lock()
	i := slices.IndexFunc(e.extensions, func(x *extension) bool { return x.id == r.identifier })
	var x *extension
	if i >= 0 {
		x = e.extensions[i]
	}
	e.mu.Unlock()
	switch {
	case r.identifier == "":
		c.replyError(r, 403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
	case x == nil:
		c.replyError(r, 403, "Extension.UnknownExtensionIdentifier", "Unknown extension")
	}
	return x
}

// handleEvent answers with an event: now if there is one, and otherwise when there is.
func (c *conn) handleEvent(r *request) error {
	x := c.known(r)
	if x == nil {
		return nil
	}
	e := c.env
	e.mu.Lock()
	defer e.mu.Unlock()
	x.last = c
	if event := x.event; event != nil {
		x.event = nil
		c.sendEvent(event)
		return nil
	}
	if x.told {
		x.left = true // it has finished
		e.wake()
	}
	if x.conn != nil && x.conn != c {
		x.conn.nc.Close() // it has given it up
	}
	c.hold(true)
	x.conn = c
	if e.state == ready {
		e.wake()
	}
	return nil
}

// handleExtensionError ends the environment: an extension failed.
func (c *conn) handleExtensionError(r *request) error {
	x := c.known(r)
	if x == nil {
		return c.drop(r)
	}
	if _, err := c.readBody(r); err != nil {
		return err
	}
	typ := r.extensionError
	if typ == "" {
		typ = "Extension.Crash"
	}
	message := "Extension " + x.name + " failed"
	e := c.env
	e.mu.Lock()
	e.fail(exit, &InitError{Type: typ, Payload: appendError(nil, strings.ReplaceAll(typ, `"`, "'"), strings.ReplaceAll(message, `\`, "/"))})
	e.mu.Unlock()
	c.reply(202, r.closing, accepted)
	return nil
}

// drop reads the body of a request that was refused.
func (c *conn) drop(r *request) error {
	if r.length == 0 {
		return nil
	}
	_, err := c.readBody(r)
	return err
}

// ended says that a connection is no more. e.mu is held.
func (e *Environment) ended(c *conn) {
	for _, x := range e.extensions {
		if x.conn == c {
			x.conn = nil // it asks again, or the environment comes to nothing
		}
		if x.last == c && x.told {
			x.left = true
			e.wake()
		}
	}
}

// sendEvent writes an event, behind everything that is to be written already.
func (c *conn) sendEvent(event []byte) {
	c.hold(false)
	c.replyWith(200, false, "", string(event))
	c.wmu.Lock()
	c.flushLocked(time.Now().Add(writeTimeout))
	c.wmu.Unlock()
}

func (c *conn) replyError(r *request, status int, typ, message string) {
	c.reply(status, r.closing, string(appendError(nil, typ, message)))
}

func newIdentifier() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

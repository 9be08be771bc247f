package runtimeapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"brume/internal/telemetry"
)

// A Function is what extensions are told of the function that they are to extend.
type Function struct {
	Name, Version, Handler string
	// Account is told to extensions that ask for it.
	Account string
	// Extensions are the names of the external extensions that were started, those of their files: the init phase is not
	// over before each of them has registered and asked for an event.
	Extensions []string
	// Telemetry takes the subscriptions of extensions.
	Telemetry Telemetry
}

// Telemetry is the part of *telemetry.Hub that is needed here.
type Telemetry interface {
	Subscribe(api telemetry.API, extension string, body []byte) *telemetry.Refusal
}

// An Extension is how an extension stands.
type Extension struct {
	Name string
	// State is AWS's word: "Started", "Registered", "Ready", "InitError" or "ExitError".
	State string
	// Events are those it wants, as it named them.
	Events []string
	// ErrorType is what it has reported of an error.
	ErrorType string
}

// An ExtensionError says that an external extension's process ended.
type ExtensionError struct {
	Type string // "Extension.Crash", or what it had reported before
	Err  error  // what ExtensionEnded was called with
}

func (e *ExtensionError) Error() string { return "runtimeapi: an extension ended: " + e.Err.Error() }
func (e *ExtensionError) Unwrap() error { return e.Err }

// maxExtensions is how many extensions an environment can have.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
const maxExtensions = 10

// Bounds of a registration, in bytes.
const (
	maxRegistration  = 64 << 10
	maxExtensionName = 255 // that of a file
)

// An extension is a process that has registered for events.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
type extension struct {
	name, id         string
	events           []string
	invoke, shutdown bool   // the events that it wants
	asked            bool   // for an event, once
	failed           string // "InitError" or "ExitError", if it has reported one
	errorType        string // of that
	conn             *conn  // where it waits for one; nil if it does not wait
	event            []byte // for when it asks
	told             bool   // of the shutdown
	left             bool   // its process ended, or it has asked again after that
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

// Extensions says how the extensions stand: the external ones, and then those that have registered from within the runtime.
func (e *Environment) Extensions() []Extension {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]Extension, 0, len(e.extensions))
	for _, name := range e.function.Extensions {
		if !slices.ContainsFunc(e.extensions, func(x *extension) bool { return x.name == name }) {
			list = append(list, Extension{Name: name, State: "Started"})
		}
	}
	for _, x := range e.extensions {
		state := "Registered"
		switch {
		case x.failed != "":
			state = x.failed
		case x.asked:
			state = "Ready"
		}
		list = append(list, Extension{x.name, state, x.events, x.errorType})
	}
	return list
}

// ExtensionEnded says that the process of an external extension ended: with err. That ends the environment, unless the
// extension was told to finish.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html#runtimes-extensions-api-failure
func (e *Environment) ExtensionEnded(name string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.extensions, func(x *extension) bool { return x.name == name })
	if i >= 0 {
		x := e.extensions[i]
		if x.left = true; x.told {
			e.wake()
			return
		}
	}
	e.fail(exit, &ExtensionError{Type: cmp.Or(e.reported, "Extension.Crash"), Err: err})
}

// announce sends an event to the extensions that want it. e.mu is held; the writing is done after send is called without it.
func (e *Environment) announce(event []byte, wants func(*extension) bool) (send func(deadline time.Time)) {
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
	return func(deadline time.Time) {
		for _, c := range conns {
			c.sendEvent(event, deadline)
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

// HasExtensions says whether there are any.
func (e *Environment) HasExtensions() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.extensions) > 0
}

// Extended says whether an extension wants to be told of the end; then Shutdown is to be called before the end.
func (e *Environment) Extended() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state != closed && slices.ContainsFunc(e.extensions, func(x *extension) bool { return x.shutdown && !x.left })
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
	send(soon(ctx))
	for {
		e.mu.Lock()
		over := e.state == closed || !slices.ContainsFunc(e.extensions, func(x *extension) bool { return x.told && !x.left })
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
	if r.length > maxRegistration {
		return c.refuse(r, 403, "InvalidRequestFormat", "Exceeded"+maxSize(maxRegistration))
	}
	body, err := c.readBody(r)
	if err != nil && err != errTooLarge {
		return err
	}
	var want struct{ Events []string }
	if err != nil || len(body.data) > maxRegistration || len(body.data) > 0 && json.Unmarshal(body.data, &want) != nil {
		c.replyError(r, 403, "InvalidRequestFormat", "The request is not a JSON object with events")
		return nil
	}
	external := slices.Contains(c.env.function.Extensions, r.extension)
	x := &extension{name: r.extension, id: newIdentifier()}
	for _, event := range want.Events {
		switch event {
		case "INVOKE":
			x.invoke = true
		case "SHUTDOWN":
			x.shutdown = true
		}
		if event != "INVOKE" && (event != "SHUTDOWN" || !external) { // only a process of its own lives on to hear of the end
			c.replyError(r, 403, "Extension.InvalidEventType", event+": ErrorInvalidEventType")
			return nil
		}
		if !slices.Contains(x.events, event) {
			x.events = append(x.events, event)
		}
	}
	e := c.env
	e.mu.Lock()
	typ, message := "", ""
	switch {
	case x.name == "":
		typ, message = "Extension.InvalidExtensionName", "Empty extension name"
	case strings.ContainsAny(x.name, "/\"") || len(x.name) > maxExtensionName:
		typ, message = "Extension.InvalidExtensionName", "Invalid extension name"
	case e.state != started && !external:
		typ, message = "Extension.RegistrationClosed", "Extension registration closed already"
	case len(e.extensions) == maxExtensions:
		typ, message = "Extension.TooManyExtensions", fmt.Sprintf("Extension limit (%d) reached", maxExtensions)
	case slices.ContainsFunc(e.extensions, func(o *extension) bool { return o.name == x.name }):
		typ, message = "Extension.InvalidExtensionState", "Extension with this name already registered"
	default:
		e.extensions = append(e.extensions, x)
	}
	e.mu.Unlock()
	if typ != "" {
		c.replyError(r, 403, typ, message)
		return nil
	}
	about := struct {
		Name    string `json:"functionName"`
		Version string `json:"functionVersion"`
		Handler string `json:"handler"`
		Account string `json:"accountId,omitempty"`
	}{e.function.Name, e.function.Version, e.function.Handler, ""}
	for feature := range strings.SplitSeq(r.features, ",") {
		if strings.TrimSpace(feature) == "accountId" {
			about.Account = e.function.Account
		}
	}
	answer, err := json.Marshal(about)
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
	c.hold(true)
	e.mu.Lock()
	x.asked = true
	event := x.event
	x.event = nil
	if event == nil {
		if x.told {
			x.left = true // it has finished
			e.wake()
		}
		if x.conn != nil && x.conn != c {
			x.conn.nc.Close() // it has given it up
		}
		x.conn = c
		if e.state == ready {
			e.wake()
		}
	}
	e.mu.Unlock()
	if event != nil {
		c.sendEvent(event, time.Now().Add(writeTimeout))
	}
	return nil
}

// handleExtensionError notes what an extension has to say before it ends. Its end is what ends the environment.
func (c *conn) handleExtensionError(r *request) error {
	x := c.known(r)
	if x == nil {
		return c.drop(r)
	}
	if _, err := c.readBody(r); err != nil {
		return err
	}
	if r.extensionError == "" {
		c.replyError(r, 403, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
		return nil
	}
	failed := "InitError"
	if r.route == routeExtensionExitError {
		failed = "ExitError"
	}
	e := c.env
	e.mu.Lock()
	if x.failed == "" { // the first is the one that counts
		x.failed, x.errorType = failed, r.extensionError
	}
	if e.reported == "" {
		e.reported = "Extension." + failed
	}
	e.mu.Unlock()
	c.reply(202, r.closing, accepted)
	return nil
}

// handleSubscribe passes a subscription on to the telemetry.
func (c *conn) handleSubscribe(r *request) error {
	x := c.known(r)
	if x == nil {
		return c.drop(r)
	}
	api := telemetry.Telemetry
	if r.route == routeLogs {
		api = telemetry.Logs
	}
	hub := c.env.function.Telemetry
	switch {
	case hub == nil:
		return c.refuse(r, 404, "ResourceNotFound", "No such resource in the Runtime API")
	case r.length > telemetry.MaxRequest:
		return c.refuse(r, 413, "RequestEntityTooLarge", "Exceeded"+maxSize(telemetry.MaxRequest))
	}
	body, err := c.readBody(r)
	if err != nil && err != errTooLarge {
		return err
	}
	if err != nil || len(body.data) > telemetry.MaxRequest { // which came in chunks
		c.replyError(r, 413, "RequestEntityTooLarge", "Exceeded"+maxSize(telemetry.MaxRequest))
		return nil
	}
	if no := hub.Subscribe(api, x.name, body.data); no != nil {
		c.replyError(r, no.Status, no.Type, no.Message)
		return nil
	}
	c.reply(200, r.closing, `"OK"`)
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
	}
}

// sendEvent writes an event, behind everything that is to be written already.
func (c *conn) sendEvent(event []byte, deadline time.Time) {
	c.hold(false)
	c.replyWith(200, false, "", string(event))
	c.wmu.Lock()
	c.flushLocked(deadline)
	c.wmu.Unlock()
}

func (c *conn) replyError(r *request, status int, typ, message string) {
	b, err := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{message, typ})
	if err != nil {
		panic(err) // two strings can be written
	}
	c.reply(status, r.closing, string(b))
}

func newIdentifier() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

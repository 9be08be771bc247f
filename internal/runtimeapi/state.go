package runtimeapi

// A state is where an execution environment stands in its life.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
type state uint8

const (
	started    state = iota // the runtime initializes itself and the function
	failing                 // it is reporting that this failed
	initFailed              // it has reported that
	ready                   // it asked for an invocation
	running                 // it has one
	responding              // it is sending its response, or its error
	responded               // it has sent all of that
	exited                  // its process ended
	closed
)

// An event is what happens to an environment: what the runtime asks for, and what the platform does.
type event uint8

const (
	next      event = iota // GET /runtime/invocation/next
	initError              // the head of POST /runtime/init/error
	invoked                // an invocation is handed to the runtime
	respond                // the head of POST /runtime/invocation/{id}/response or …/error
	sent                   // the body to one of these heads has arrived
	aborted                // it did not arrive whole
	exit
	shut
)

// on returns the state that follows s after v. What is not named here is not allowed.
func (s state) on(v event) (state, bool) {
	switch v {
	case next:
		switch s {
		case started, responded:
			return ready, true
		case ready:
			// A client that lost its connection, or gave up waiting, asks again. The newest request is answered.
			return ready, true
		case running:
			// The same client may have lost the invocation on the way: it gets it once more.
			return running, true
		}
	case initError:
		if s == started {
			return failing, true
		}
	case invoked:
		if s == ready {
			return running, true
		}
	case respond:
		if s == running {
			return responding, true
		}
	case sent:
		switch s {
		case failing:
			return initFailed, true
		case responding:
			return responded, true
		}
	case aborted:
		switch s {
		case failing:
			return started, true
		case responding:
			return running, true
		}
	case exit:
		if s != initFailed && s != exited && s != closed {
			return exited, true
		}
	case shut:
		if s != closed {
			return closed, true
		}
	}
	return s, false
}

// String returns the name that AWS has for the state, in the messages of its errors.
func (s state) String() string {
	switch s {
	case started:
		return "Started"
	case failing, initFailed:
		return "InitError"
	case ready:
		return "Ready"
	case running:
		return "Running"
	case responding:
		return "InvocationResponse"
	case responded:
		return "ResponseSent"
	case exited:
		return "Exited"
	}
	return "Closed"
}

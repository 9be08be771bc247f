package policy

import "time"

// A Role is a role as those meet it who want to assume it.
type Role struct {
	Account, Name, ARN, ID string
	// Trust is the trust policy, bound to the principals that it meant when it was written.
	Trust *Document
	// MaxSession is how long a session may last.
	MaxSession time.Duration
	// Tags are the role's own.
	Tags map[string]string
}

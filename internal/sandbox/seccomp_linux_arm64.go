package sandbox

import "golang.org/x/sys/unix"

// auditArch is how the kernel names this architecture to a filter.
const auditArch = unix.AUDIT_ARCH_AARCH64

// archAllowed are allowed calls whose name or presence differs here.
var archAllowed = [...]uint32{unix.SYS_FSTATAT}

// archPrivileged are privileged calls that only this architecture has: none.
var archPrivileged = [...]uint32{}

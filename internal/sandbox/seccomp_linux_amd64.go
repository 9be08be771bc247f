package sandbox

import "golang.org/x/sys/unix"

// auditArch is how the kernel names this architecture to a filter. x32 shares it, but its call numbers are on no list.
const auditArch = unix.AUDIT_ARCH_X86_64

// archAllowed are allowed calls that only this architecture has, mostly the older forms of those in allowed.
var archAllowed = [...]uint32{
	unix.SYS_OPEN, unix.SYS_CREAT, unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_NEWFSTATAT, unix.SYS_ACCESS, unix.SYS_DUP2,
	unix.SYS_PIPE, unix.SYS_GETDENTS, unix.SYS_MKDIR, unix.SYS_RMDIR, unix.SYS_MKNOD, unix.SYS_UNLINK, unix.SYS_RENAME,
	unix.SYS_LINK, unix.SYS_SYMLINK, unix.SYS_READLINK, unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_UTIME,
	unix.SYS_UTIMES, unix.SYS_FUTIMESAT, unix.SYS_POLL, unix.SYS_SELECT, unix.SYS_EPOLL_CREATE, unix.SYS_EPOLL_WAIT,
	unix.SYS_EVENTFD, unix.SYS_SIGNALFD, unix.SYS_INOTIFY_INIT, unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_GETPGRP,
	unix.SYS_ALARM, unix.SYS_PAUSE, unix.SYS_TIME, unix.SYS_ARCH_PRCTL, unix.SYS_MAP_SHADOW_STACK,
}

// archPrivileged are privileged calls that only this architecture has.
var archPrivileged = [...]uint32{unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT}

package iam

import (
	"sync"
	"time"

	"brume/internal/awserr"
	"brume/internal/recent"
)

const (
	// freeTries is how many wrong passwords or codes there may be in a row before the next must wait.
	freeTries = 5
	// maxWait is the longest wait after a wrong one. The first is a second, and each is twice as long as the one before.
	maxWait = 5 * time.Minute
	// maxTried is how many users and devices are watched at one time, at least.
	maxTried = 4096
)

// tries makes those wait who guess. It forgets with the process: what is guessed is long enough for that.
type tries struct {
	mu       sync.Mutex // held to count one more
	failures *recent.Map[string, failures]
}

type failures struct {
	count int
	until time.Time
}

func newTries() *tries { return &tries{failures: recent.NewMap[string, failures](maxTried)} }

// attempt counts a try, and says whether it may be made. It counts before the outcome is known, so that it does not help to
// guess many at one time.
func (t *tries) attempt(who string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, _ := t.failures.Get(who)
	if now.Before(f.until) {
		return false
	}
	f.count++
	if over := f.count - freeTries; over >= 0 {
		f.until = now.Add(min(maxWait, time.Second<<min(over, 10)))
	}
	t.failures.Set(who, f)
	return true
}

// succeeded says that the last try was right: those before it are forgotten.
func (t *tries) succeeded(who string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.failures.Get(who); ok {
		t.failures.Set(who, failures{})
	}
}

func tooManyTries() error {
	return awserr.New("Throttling", "Rate exceeded")
}

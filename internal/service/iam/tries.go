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

// blocked says whether who must still wait.
func (t *tries) blocked(who string, now time.Time) bool {
	f, ok := t.failures.Get(who)
	return ok && now.Before(f.until)
}

func (t *tries) failed(who string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, _ := t.failures.Get(who)
	f.count++
	if over := f.count - freeTries; over >= 0 {
		f.until = now.Add(min(maxWait, time.Second<<min(over, 10)))
	}
	t.failures.Set(who, f)
}

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

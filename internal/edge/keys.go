package edge

import (
	"context"
	"errors"
)

// Keys admits the holders of API keys, as usage plans say.
type Keys interface {
	// AdmitKey finds the key and the plan that lets it in, and counts the use. It fails with ErrKey if there is none, with
	// ErrKeyThrottled if it comes too fast and with ErrKeyQuota if it has come too often.
	AdmitKey(ctx context.Context, use KeyUse) (*APIKey, error)
}

// A KeyUse is an API key that was shown to a method or route of a stage.
type KeyUse struct{ Account, Region, API, Stage, Method, Value string }

// An APIKey is one that was admitted.
type APIKey struct{ ID, Value string }

var (
	ErrKey          = errors.New("no plan lets the API key in")
	ErrKeyThrottled = errors.New("the API key comes too fast")
	ErrKeyQuota     = errors.New("the API key's quota is used up")
)

package lambda

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"brume/internal/runtimes"
)

// bareRuntimes have no AWS SDK.
type bareRuntimes struct{}

func (bareRuntimes) Find(_ context.Context, name string) (*runtimes.Runtime, error) {
	return &runtimes.Runtime{Name: name, InstallSDK: "install it"}, nil
}

// Who makes a function that may not find what it imports reads in the server's log how it would.
func TestMissingSDKIsTold(t *testing.T) {
	var told bytes.Buffer
	s := &Service{runtimes: bareRuntimes{}, log: slog.New(slog.NewTextHandler(&told, nil))}
	if err := s.checkRuntime(t.Context(), "python3.12"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(told.String(), "runtime=python3.12") || !strings.Contains(told.String(), `install="install it"`) {
		t.Error(told.String())
	}
	told.Reset()
	s.runtimes = fakeRuntimes{}
	if err := s.checkRuntime(t.Context(), "python3.12"); err != nil || told.Len() > 0 {
		t.Errorf("%v %s", err, &told)
	}
}

package story

import (
	"path/filepath"
	"testing"
)

func TestWalkthroughWithTheGoSDK(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	brume := Build(t, root)
	runtimes, err := Runtimes(t.Context(), brume)
	if err != nil {
		t.Fatal(err)
	}
	if len(runtimes) == 0 {
		t.Skip("the machine offers neither Python with boto3 nor Node.js with the AWS SDK: see scripts/prerequisites")
	}
	server, err := StartServer(t.Context(), brume, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	}()
	if _, err := Tell(t.Context(), t.Output(), server, filepath.Join(root, "examples", "microservice-http-endpoint"), runtimes); err != nil {
		t.Fatalf("%v\n%s", err, server.LogTail())
	}
}

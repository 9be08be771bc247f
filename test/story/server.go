package story

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A Server is a brume process on a directory of its own.
type Server struct {
	binary, dataDir string
	listen          string
	cmd             *exec.Cmd
	exited          chan error

	Endpoint, AccessKeyID, SecretAccessKey, Region string
}

// StartServer starts binary on dataDir and waits until it is ready. Its log goes to dataDir/brume.log. listen may end
// in ":0"; Restart then uses the port that it got.
func StartServer(ctx context.Context, binary, dataDir, listen string, flags ...string) (*Server, error) {
	s := &Server{binary: binary, dataDir: dataDir, listen: listen}
	return s, s.start(ctx, s.reachable, flags...)
}

// start starts the process and waits until ready reports no error.
func (s *Server) start(ctx context.Context, ready func() error, flags ...string) error {
	log, err := os.OpenFile(filepath.Join(s.dataDir, "..", "brume.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(s.binary, append([]string{"serve", "--listen", s.listen, "--data-dir", s.dataDir}, flags...)...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan error, 1)
	go func() { s.exited <- s.cmd.Wait() }()
	return s.waitReady(ctx, ready)
}

func (s *Server) waitReady(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		if ready() == nil {
			s.listen = strings.TrimPrefix(s.Endpoint, "http://")
			return nil
		}
		select {
		case err := <-s.exited:
			return fmt.Errorf("brume ended before it was ready: %v\n%s", err, s.LogTail())
		case <-ctx.Done():
			return fmt.Errorf("brume is not ready: %w\n%s", ctx.Err(), s.LogTail())
		case <-time.After(time.Millisecond):
		}
	}
}

// reachable finds the server by brume env, and its health.
func (s *Server) reachable() error {
	if err := s.readEnv(); err != nil {
		return err
	}
	return s.healthy()
}

func (s *Server) healthy() error {
	resp, err := http.Get(s.Endpoint + "/_brume/health")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s", resp.Status)
	}
	return nil
}

// readEnv asks brume env, as a user would.
func (s *Server) readEnv() error {
	out, err := exec.Command(s.binary, "env", "--data-dir", s.dataDir).Output()
	if err != nil {
		return err
	}
	vars := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok {
			vars[name] = strings.Trim(value, "'")
		}
	}
	s.Endpoint, s.Region = vars["AWS_ENDPOINT_URL"], vars["AWS_DEFAULT_REGION"]
	s.AccessKeyID, s.SecretAccessKey = vars["AWS_ACCESS_KEY_ID"], vars["AWS_SECRET_ACCESS_KEY"]
	if s.Endpoint == "" || s.AccessKeyID == "" || s.SecretAccessKey == "" || s.Region == "" {
		return fmt.Errorf("brume env printed %q", out)
	}
	return nil
}

// FreeAddress is a loopback address that nothing listened on a moment ago.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// StartServerAt is StartServer for a given port, and waits for nothing but the first 200.
func StartServerAt(ctx context.Context, binary, dataDir, listen string) (*Server, error) {
	s := &Server{binary: binary, dataDir: dataDir, listen: listen, Endpoint: "http://" + listen}
	return s, s.start(ctx, s.healthy)
}

// Stop sends SIGTERM and waits; the process must exit with 0.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-s.exited:
		return err
	case <-time.After(40 * time.Second):
		return errors.Join(errors.New("brume did not stop within 40 s"), s.cmd.Process.Kill())
	}
}

// Restart stops the process and starts it again on the same directory and address.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return fmt.Errorf("stopping: %w\n%s", err, s.LogTail())
	}
	return s.Start(ctx)
}

// Kill ends the process as a crash would, and waits until it is gone.
func (s *Server) Kill() error {
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	<-s.exited
	return nil
}

// Start starts the process again, on the same directory and address.
func (s *Server) Start(ctx context.Context) error { return s.start(ctx, s.reachable) }

// Binary is the binary that runs.
func (s *Server) Binary() string { return s.binary }

// DataDir is the directory that holds its state.
func (s *Server) DataDir() string { return s.dataDir }

// PID is the id of the process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Exited delivers the process's end.
func (s *Server) Exited() <-chan error { return s.exited }

// LogTail is the end of the server's log.
func (s *Server) LogTail() string {
	log, err := os.ReadFile(filepath.Join(s.dataDir, "..", "brume.log"))
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-4000):])
}

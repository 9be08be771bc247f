package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"brume/internal/accesskey"
	"brume/internal/kv/pebblekv"
	"brume/internal/service/cloudtrail"
	"brume/internal/service/iam"
)

// adminSocket is where a server takes orders from whoever may use its data directory, and from nobody else: no network
// leads there, and functions do not see the directory.
const adminSocket = "admin.sock"

// adminPatience is how long the server may take for an order.
const adminPatience = 30 * time.Second

// A RootKey is the new access key of an account's root.
type RootKey struct {
	Account         string `json:"account"`
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	// Replaced is the key that clients knew before; empty if they knew none.
	Replaced string `json:"replaced"`
}

// An Order is what RunAdmin can do.
type Order string

const (
	// RotateRoot replaces the root key that clients on this machine use.
	RotateRoot Order = "rotate-root"
	// ResetRoot takes all its keys from root, ends its sessions, and makes a new key.
	ResetRoot Order = "reset-root"
)

// RunAdmin carries an order out for the default account of the data directory: by the server that runs on it, or by
// itself if none does. account is needed only where nothing in the directory tells which account that is.
func RunAdmin(ctx context.Context, order Order, dataDir, account string) (*RootKey, error) {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dataDir, storeDir)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no Brume data in %s: name another directory with --data-dir", dataDir)
	}
	ctx, cancel := context.WithTimeout(ctx, adminPatience)
	defer cancel()
	key, err := askServer(ctx, order, dataDir)
	if !errors.Is(err, errNoServer) {
		return key, err
	}
	return runAlone(ctx, order, dataDir, account)
}

var errNoServer = errors.New("no server runs")

// askServer has the server that runs on dataDir carry out the order.
func askServer(ctx context.Context, order Order, dataDir string) (*RootKey, error) {
	path, release, err := socketPath(dataDir)
	if err != nil {
		return nil, err
	}
	defer release()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			return nil, errors.Join(errNoServer, err)
		}
		return conn, nil
	}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://brume/"+string(order), nil)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	key := new(RootKey)
	return key, json.Unmarshal(body, key)
}

// runAlone opens the data directory, which no server may use meanwhile.
func runAlone(ctx context.Context, order Order, dataDir, account string) (key *RootKey, err error) {
	quiet := slog.New(slog.DiscardHandler)
	store, err := pebblekv.Open(ctx, pebblekv.Options{Dir: filepath.Join(dataDir, storeDir), Logger: quiet})
	switch {
	case errors.Is(err, pebblekv.ErrLocked):
		return nil, fmt.Errorf("a Brume runs on %s, but does not answer at %s: stop it, and try again", dataDir, adminSocket)
	case err != nil:
		return nil, fmt.Errorf("the data directory %s cannot be opened: %w", dataDir, err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	master, err := loadMaster(dataDir, false)
	if err != nil {
		return nil, err
	}
	box, err := master.Box(accessKeyBox)
	if err != nil {
		return nil, err
	}
	c := client{Endpoint: "http://" + DefaultListen, Region: DefaultRegion}
	known, err := readClient(dataDir)
	if err != nil && order != ResetRoot {
		return nil, err
	}
	if err == nil && known != (client{}) {
		c = known
	}
	if of, ok := accesskey.Account(c.AccessKeyID); ok {
		account = of
	}
	// The bound is the server's to keep.
	audit := cloudtrail.New(cloudtrail.Options{Store: store, Log: quiet, MaxBytes: math.MaxInt64})
	defer func() { err = errors.Join(err, audit.Close()) }()
	return replaceRoot(ctx, order, iam.New(store, box, quiet), audit, dataDir, account, c)
}

// replaceRoot gives an account's root a new key, and writes it to where clients look, with the rest of c.
func replaceRoot(
	ctx context.Context, order Order, identities *iam.Service, audit *cloudtrail.Service, dataDir, account string, c client,
) (*RootKey, error) {
	// A master key that is not the one of this directory would seal what nobody can open.
	if _, _, _, err := identities.AccessKey(ctx, c.AccessKeyID); err != nil {
		return nil, fmt.Errorf("the master key is not that of %s: %w", dataDir, err)
	}
	key := &RootKey{Account: account, Replaced: c.AccessKeyID}
	var err error
	if order == ResetRoot {
		key.AccessKeyID, key.SecretAccessKey, err = identities.ResetRoot(ctx, account)
	} else {
		key.AccessKeyID, key.SecretAccessKey, err = identities.RotateRootKey(ctx, account, c.AccessKeyID)
	}
	if hasCode(err, "LimitExceeded") {
		return nil, fmt.Errorf("root has two access keys, and %s holds neither of them: delete one of the two, or use reset-root", clientFile)
	}
	if err != nil {
		return nil, err
	}
	recordRootKey(ctx, audit, order, key, c.Region)
	c.AccessKeyID, c.SecretAccessKey = key.AccessKeyID, key.SecretAccessKey
	if err := c.write(dataDir); err != nil {
		return nil, fmt.Errorf("root has the new access key %s, but %s could not be written; it will be at the next start of the server: %w",
			key.AccessKeyID, clientFile, err)
	}
	return key, nil
}

// serveAdmin takes orders until the function that it returns is called.
func (h *host) serveAdmin() (stop func() error, err error) {
	path, release, err := socketPath(h.config.DataDir)
	if err != nil {
		return nil, err
	}
	defer release()
	// The data directory is locked, so a socket that is there is one that was left behind.
	if err := removeIfThere(path); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if unix, ok := listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // the path may be one that only this function has
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	mux := http.NewServeMux()
	for _, order := range []Order{RotateRoot, ResetRoot} {
		mux.HandleFunc("POST /"+string(order), func(w http.ResponseWriter, r *http.Request) { h.carryOut(w, r, order) })
	}
	server := &http.Server{Handler: mux, ReadTimeout: adminPatience, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelWarn)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return func() error {
		err := server.Close()
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return errors.Join(err, removeIfThere(filepath.Join(h.config.DataDir, adminSocket)))
	}, nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (h *host) carryOut(w http.ResponseWriter, r *http.Request, order Order) {
	h.ordering.Lock()
	defer h.ordering.Unlock()
	h.mu.RLock()
	defer h.mu.RUnlock()
	refuse := func(err error) {
		h.log.Error("an administrator's order failed", "order", string(order), "error", err.Error())
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
	if h.stack == nil {
		refuse(errors.New("the server could not start again after a reset; its log says why"))
		return
	}
	c := client{Endpoint: h.stack.endpoint, Region: h.config.Region}
	known, err := readClient(h.config.DataDir)
	if err != nil && order != ResetRoot {
		refuse(err)
		return
	}
	c.AccessKeyID = known.AccessKeyID
	key, err := replaceRoot(context.WithoutCancel(r.Context()), order, h.stack.identities, h.stack.audit, h.config.DataDir, h.config.AccountID, c)
	if err != nil {
		refuse(err)
		return
	}
	h.log.Info("an administrator replaced the root key", "order", string(order), "key", key.AccessKeyID, "replaced", key.Replaced)
	w.Header().Set("Content-Type", "application/json")
	// Who does not get it finds it in the file.
	_ = json.NewEncoder(w).Encode(key)
}

// maxSocketPath is how long the path of a socket may be, in bytes, on all systems.
const maxSocketPath = 100

// socketPath is a path of the socket in dataDir that is short enough, until release is called.
func socketPath(dataDir string) (path string, release func(), err error) {
	path = filepath.Join(dataDir, adminSocket)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("%w that can be asked: the path of %s is too long for a socket", errNoServer, path)
	}
	dir, err := os.Open(dataDir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), adminSocket), func() { dir.Close() }, nil
}

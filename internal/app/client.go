package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"brume/internal/wire/sigv4"
)

// clientFile tells clients on this machine how to reach the server: it holds the root access key, so its mode is 0600.
const clientFile = "client.json"

// client is the content of clientFile.
type client struct {
	Endpoint        string `json:"endpoint"`
	Region          string `json:"region"`
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
}

// A Variable is an environment variable; one without a value is to be unset.
type Variable struct{ Name, Value string }

// ClientEnv is the environment that points AWS clients to the server on dataDir, which need not be running. What clients
// would mix with it is unset: the token of another session, and the profile whose settings some of them prefer.
func ClientEnv(dataDir string) ([]Variable, error) {
	c, err := openClient(dataDir)
	if err != nil {
		return nil, err
	}
	return []Variable{
		{"AWS_ENDPOINT_URL", c.Endpoint},
		{"AWS_ACCESS_KEY_ID", c.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", c.SecretAccessKey},
		{"AWS_REGION", c.Region}, // all that the SDKs for JavaScript and Java read
		{"AWS_DEFAULT_REGION", c.Region},
		{"AWS_SESSION_TOKEN", ""},
		{"AWS_SECURITY_TOKEN", ""},
		{"AWS_PROFILE", ""},
	}, nil
}

// ForOneService reports whether a variable leads the clients of one service elsewhere than AWS_ENDPOINT_URL does.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
func ForOneService(name string) bool { return strings.HasPrefix(name, "AWS_ENDPOINT_URL_") }

// Environ is environ with vars in the place of its variables of these names: of two with one name, programs differ in
// which they take. What leads the clients of one service elsewhere is left out.
func Environ(environ []string, vars []Variable) []string {
	environ = slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		if ForOneService(name) {
			return true
		}
		return slices.ContainsFunc(vars, func(v Variable) bool { return v.Name == name })
	})
	for _, v := range vars {
		if v.Value != "" {
			environ = append(environ, v.Name+"="+v.Value)
		}
	}
	return environ
}

// readClient reads the file in dataDir; the zero value if there is none.
func readClient(dataDir string) (c client, err error) {
	file := filepath.Join(dataDir, clientFile)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return client{}, nil
	}
	if err != nil {
		return client{}, fmt.Errorf("the root key is only for the user who runs the server: %w", err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return client{}, fmt.Errorf("%s cannot be read; remove it to get a new one at the next start: %w", file, err)
	}
	return c, nil
}

// openClient is readClient where there must be one.
func openClient(dataDir string) (client, error) {
	c, err := readClient(dataDir)
	if err == nil && c == (client{}) {
		err = fmt.Errorf("no Brume data in %s: start one there with `brume serve`, or name another directory with --data-dir", dataDir)
	}
	return c, err
}

// get asks the server on dataDir for a path of a service, as the root whose key the client has.
func (c *client) get(ctx context.Context, dataDir, path, service string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Endpoint+path, nil)
	if err != nil {
		return nil, err
	}
	sigv4.Sign(req, nil, sigv4.Key{AccessKeyID: c.AccessKeyID, Secret: c.SecretAccessKey}, c.Region, service, time.Now())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no Brume runs on %s: start it with `brume serve`: %w", dataDir, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return body, nil
}

// write replaces the file in dataDir at once, so that a reader sees the old or the new one.
func (c *client) write(dataDir string) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dataDir, clientFile+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(data, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dataDir, clientFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// endpointURL is the URL by which clients on this machine reach a server that listens on addr.
func endpointURL(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return "http://" + addr.String()
	}
	if tcp.IP.IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d", tcp.Port)
	}
	return "http://" + tcp.String()
}

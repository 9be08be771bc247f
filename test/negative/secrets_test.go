package negative

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"brume/internal/wire/sigv4"
	"brume/test/story"
)

// A server that was told many secrets, and met many mistakes with them, keeps them out of its log, its metrics, its
// process list and its data directory, but for the files that are there to hold the root key and the master key.
func TestSecretsStaySecret(t *testing.T) {
	dir := t.TempDir()
	shared := brume
	server, err := story.StartServer(t.Context(), shared.Binary(), filepath.Join(dir, "data"), "127.0.0.1:0", "--log-format", "json")
	if err != nil {
		t.Fatal(err)
	}
	brume = server
	defer func() { brume = shared }()

	secrets := map[string]string{"the root's secret": rootKey().Secret}
	keep := func(what, secret string) string {
		secrets[what] = secret
		return secret
	}
	root := rootKey()
	k := newUser(t, "alice")
	keep("a user's secret", k.Secret)
	session := sessionOf(t, k)
	keep("a session's secret", session.Secret)
	keep("a session's token", session.SessionToken)
	out := call(t, k, "sts", "GetFederationToken", url.Values{"Name": {"guest"}})
	keep("a federated user's secret", text(t, out, "SecretAccessKey"))
	keep("a federated user's token", text(t, out, "SessionToken"))
	call(t, root, "iam", "CreateLoginProfile", url.Values{"UserName": {"alice"}, "Password": {keep("a password", "Correct-Horse-7-Battery")}})
	out = call(t, root, "iam", "CreateVirtualMFADevice", url.Values{"VirtualMFADeviceName": {"phone"}})
	keep("a device's seed", text(t, out, "Base32StringSeed"))
	call(t, root, "iam", "CreateRole", url.Values{"RoleName": {"lambda"}, "AssumeRolePolicyDocument": {
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`,
	}})

	// Mistakes: a query form with a secret in each place where one can be.
	query := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	try := func(k sigv4.Key, service, body string) {
		t.Helper()
		f := form{"", service, "POST", "/", query, body}
		if got := send(t, f.signed(t, k)); got.status < 400 {
			t.Errorf("%s: %d", body, got.status)
		}
	}
	long := keep("a password that is too long", strings.Repeat("Long-Horse-7", 20))
	try(root, "iam", "Action=CreateLoginProfile&Version=2010-05-08&UserName=alice&Password="+long)
	try(root, "iam", "Action=UpdateLoginProfile&Version=2010-05-08&UserName=nobody&Password="+keep("a password of nobody's", "Wrong-Stable-9-Staple"))
	try(root, "iam", "Action=ChangePassword&Version=2010-05-08&OldPassword="+keep("an old password", "Old-Stable-9-Staple")+"&NewPassword="+keep("a new password", "New-Stable-9-Staple"))
	try(k, "sts", "Action=AssumeRole&Version=2011-06-15&RoleSessionName=ss&RoleArn=arn:aws:iam::000000000000:role/x&SerialNumber=arn:aws:iam::000000000000:mfa/phone&TokenCode="+keep("a code", "918273"))
	try(k, "sts", "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=ss&RoleArn=arn:aws:iam::000000000000:role/x&WebIdentityToken="+keep("an identity token", strings.Repeat("eyJhbGciOiJSUzI1NiJ9", 3)))
	forged := sigv4.Key{AccessKeyID: k.AccessKeyID, Secret: keep("a guess", strings.Repeat("guess", 8))}
	try(forged, "iam", "Action=ListUsers&Version=2010-05-08")
	wrong := session
	wrong.SessionToken = keep("a token that is not ours", turned(session.SessionToken))
	try(wrong, "iam", "Action=ListUsers&Version=2010-05-08")

	// Links carry their signature and their token in the URL.
	link := listTables.presigned(t, session, time.Now(), time.Hour)
	keep("a link's signature", link.URL.Query().Get("X-Amz-Signature"))
	if got := send(t, link); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	link = listTables.presigned(t, session, time.Now().Add(-2*time.Hour), time.Hour)
	keep("an old link's signature", link.URL.Query().Get("X-Amz-Signature"))
	send(t, link)
	r := listTables.signed(t, k)
	_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	keep("a signature", signature)
	send(t, r)
	send(t, listTables.request(t))

	// Variables of functions are sealed.
	f := form{"", "lambda", "POST", "/2015-03-31/functions", map[string]string{"Content-Type": "application/json"},
		`{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/lambda","Runtime":"provided.al2023","Handler":"h","Environment":{"Variables":{"DB":"` +
			keep("a function's variable", "postgres-pass-4711") + `"}},"Code":{"ZipFile":"UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="}}`}
	send(t, f.signed(t, root))

	metrics := get(t, server.Endpoint+"/_brume/metrics")
	health := get(t, server.Endpoint+"/_brume/health")
	var processes []byte
	for _, file := range []string{"cmdline", "comm"} {
		data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(server.PID()), file))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		processes = append(processes, data...)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "brume.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte(`"operation":"CreateLoginProfile"`)) {
		t.Fatalf("that is not the log:\n%s", log)
	}
	places := map[string][]byte{"the log": log, "the metrics": metrics, "the health": health, "the process list": processes}
	err = filepath.WalkDir(filepath.Join(dir, "data"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		switch entry.Name() {
		case "client.json", "master.key":
			info, err := entry.Info()
			if err == nil && info.Mode().Perm() != 0o600 {
				err = fmt.Errorf("%s has the mode %v", path, info.Mode())
			}
			return err
		}
		places[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for place, content := range places {
		for what, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) || bytes.Contains(content, []byte(url.QueryEscape(secret))) {
				t.Errorf("%s is in %s", what, place)
			}
		}
	}
}

func get(t *testing.T, address string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nodeSDK are the packages that Node.js functions find without bringing them, with the versions for a Node.js: the one
// place where these are pinned. Lambda's runtime has all of the AWS SDK for JavaScript v3; these are the services that
// Brume has or will have.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html#nodejs-sdk-included
func nodeSDK(major string) map[string]string {
	version := "3"
	if compareVersions(major, "20") < 0 {
		version = "<3.968.0" // later ones need Node.js 20
	}
	packages := make(map[string]string)
	for _, name := range []string{
		"client-api-gateway", "client-apigatewaymanagementapi", "client-cloudformation", "client-cloudwatch",
		"client-cloudwatch-logs", "client-cognito-identity-provider", "client-dynamodb", "client-dynamodb-streams",
		"client-eventbridge", "client-iam", "client-kinesis", "client-kms", "client-lambda", "client-s3",
		"client-scheduler", "client-secrets-manager", "client-ses", "client-sesv2", "client-sfn", "client-sns",
		"client-sqs", "client-ssm", "client-sts", "credential-providers", "lib-dynamodb", "lib-storage",
		"s3-request-presigner", "util-dynamodb",
	} {
		packages["@aws-sdk/"+name] = version
	}
	return packages
}

// nodeSDKDir is the directory below dir, a Catalog's, for installNodeSDK.
func nodeSDKDir(dir string) string { return filepath.Join(dir, "nodejs") }

// InstallNodeSDK installs the AWS SDK for JavaScript v3, in the newest version that all of the Node.js runtimes here
// run, for every function to find. It uses npm, which must be on PATH and reach its registry, and runs no script of a
// package. What was there before is replaced only after everything has worked. What npm says goes to progress.
func (c *Catalog) InstallNodeSDK(ctx context.Context, progress io.Writer) error {
	all, err := c.All(ctx)
	if err != nil {
		return err
	}
	oldest := ""
	for _, r := range all {
		if r.family == nodejs && (oldest == "" || compareVersions(r.major, oldest) < 0) {
			oldest = r.major
		}
	}
	if oldest == "" {
		return errors.New("no Node.js is installed; install it with: apt-get install -y nodejs npm")
	}
	if err := installNodeSDK(ctx, nodeSDKDir(c.dir), oldest, progress); err != nil {
		return err
	}
	return c.Refresh(ctx)
}

func installNodeSDK(ctx context.Context, dir, major string, progress io.Writer) (err error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("npm is not installed; install it with: apt-get install -y npm")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, ".install-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	manifest, err := json.Marshal(map[string]any{"private": true, "dependencies": nodeSDK(major)})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, "package.json"), manifest, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, npm, "install", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund",
		"--no-package-lock")
	cmd.Dir = work
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("npm install: %w", err)
	}
	made, final := filepath.Join(work, "node_modules"), filepath.Join(dir, "node_modules")
	if err := readableForAll(made); err != nil {
		return err
	}
	if err := os.Rename(final, filepath.Join(work, "old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(made, final)
}

// readableForAll lets every user read a tree, whatever the umask was.
func readableForAll(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if d.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

// nodeSDKVersion returns the version of the SDK in a node_modules directory, and nothing if it is not there.
func nodeSDKVersion(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "@aws-sdk", "client-dynamodb", "package.json"))
	if err != nil {
		return ""
	}
	var manifest struct{ Version string }
	if json.Unmarshal(b, &manifest) != nil || !strings.HasPrefix(manifest.Version, "3.") {
		return ""
	}
	return manifest.Version
}

// shellQuote returns s as one word of a POSIX shell.
func shellQuote(s string) string {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("@%+=:,./_-", c) >= 0) {
			return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	return s
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"brume/internal/app"
	"brume/internal/runtimes"
)

type runtimesCmd struct {
	List    runtimesListCmd    `cmd:"" default:"withargs" help:"List the runtimes of this machine."`
	Install runtimesInstallCmd `cmd:"" help:"Install what functions expect to find: the AWS SDK for Node.js or for Python."`
}

type runtimesDir struct {
	RuntimesDir string `placeholder:"DIR" env:"BRUME_RUNTIMES_DIR" help:"Directory for what is known and installed of runtimes. Default: runtimes in the data directory, or, where that has none, ${data_dir}/runtimes, if it is there."`
}

// path is the directory for what belongs to runtimes. A data directory of one test run does not begin anew.
func (d *runtimesDir) path(dataDir string) string {
	if d.RuntimesDir != "" {
		return d.RuntimesDir
	}
	own, usual := filepath.Join(dataDir, "runtimes"), filepath.Join(app.DefaultDataDir(), "runtimes")
	if !isDir(own) && isDir(usual) {
		return usual
	}
	return own
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// newCatalog returns the machine's runtimes, with its files in dir.
func newCatalog(dir string) (*runtimes.Catalog, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // there is no version manager without a home
	}
	return runtimes.NewCatalog(dir, os.Getenv("PATH"), home), nil
}

type runtimesListCmd struct {
	dataDir
	runtimesDir
	JSON bool `help:"Print JSON."`
}

// A runtime is how --json shows one.
type runtime struct {
	Name        string `json:"name"`
	Version     string `json:"version,omitempty"`
	Interpreter string `json:"interpreter,omitempty"`
	SDK         string `json:"sdk,omitempty"`
	InstallSDK  string `json:"installSdk,omitempty"`
}

func (c *runtimesListCmd) Run(ctx context.Context) error {
	catalog, err := newCatalog(c.path(c.DataDir))
	if err != nil {
		return err
	}
	all, err := catalog.All(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		list := []runtime{}
		for _, r := range all {
			list = append(list, runtime{r.Name, r.Version, r.Interpreter, r.SDK, r.InstallSDK})
		}
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RUNTIME\tVERSION\tAWS SDK\tINTERPRETER")
	for _, r := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Name, cmp.Or(r.Version, "-"), cmp.Or(r.SDK, "-"), cmp.Or(r.Interpreter, "the function's own bootstrap"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	problems, err := catalog.Problems(ctx)
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Println("\nnot usable:", p)
	}
	advice, err := catalog.Advise(ctx)
	if err != nil {
		return err
	}
	missing, err := catalog.Missing(ctx)
	for _, a := range append(advice, missing...) {
		fmt.Printf("\nfor %s:  %s\n", a.Need, a.Command)
	}
	return err
}

type runtimesInstallCmd struct {
	dataDir
	runtimesDir
	Runtime string `arg:"" enum:"nodejs,python" help:"nodejs: fetches the packages of the AWS SDK for JavaScript v3 with npm. python: gives boto3 to every Python that has none, from one that has it or with pip."`
	Upgrade bool   `help:"For nodejs: install the newest versions even if the SDK is there."`
}

func (c *runtimesInstallCmd) Run(ctx context.Context) error {
	catalog, err := newCatalog(c.path(c.DataDir))
	if err != nil {
		return err
	}
	all, err := catalog.All(ctx)
	if err != nil {
		return err
	}
	have, lack := "", ""
	for _, r := range all {
		switch {
		case !strings.HasPrefix(r.Name, c.Runtime):
		case r.SDK == "":
			lack = r.Name
		default:
			have = r.Name + " has the AWS SDK " + r.SDK
		}
	}
	if c.Runtime == "python" {
		if have != "" && lack == "" {
			fmt.Println("Every Python here has boto3.")
			return nil
		}
		return catalog.InstallPythonSDK(ctx, os.Stdout)
	}
	if have != "" && !c.Upgrade {
		fmt.Println(have + "; --upgrade installs the newest.")
		return nil
	}
	fmt.Println("Installing the AWS SDK for JavaScript v3 …")
	return catalog.InstallNodeSDK(ctx, os.Stdout)
}

package runtimes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// rescanAfter is how old what is known must at least be before something missing is looked for again.
const rescanAfter = 3 * time.Second

// A Catalog finds the runtimes of this machine. Its methods may be called from any goroutine; the first call that needs
// to know looks for them, which takes a second or so per interpreter that was never seen before, and some milliseconds
// otherwise.
type Catalog struct {
	dir  string   // where it keeps its files
	path []string // directories that may have interpreters
	any  string   // see OfferAny

	lock     chan struct{} // holds one while somebody uses what follows
	scanned  time.Time
	runtimes map[string]*Runtime
	problems []string
}

// NewCatalog returns a Catalog that keeps its files in dir, which it makes when it needs it: what interpreters said, the
// bootstraps, and what InstallNodeSDK and InstallPythonSDK install. Interpreters are looked for in the directories of
// path, in the form of $PATH, in the system's, and in those of version managers below home.
func NewCatalog(dir, path, home string) *Catalog {
	c := &Catalog{dir: dir, lock: make(chan struct{}, 1)}
	for _, d := range append(filepath.SplitList(path), "/usr/local/bin", "/usr/bin") {
		if !filepath.IsAbs(d) {
			continue
		}
		c.path = append(c.path, d)
		if filepath.Base(d) == "shims" { // pyenv and rbenv are wherever their shims are
			c.path = append(c.path, versions(filepath.Dir(d), "versions")...)
		}
	}
	c.path = append(c.path, versions("/usr/lib", "jvm")...)
	if filepath.IsAbs(home) {
		for _, dir := range []string{
			".pyenv/versions", ".nvm/versions/node", ".rbenv/versions", ".rvm/rubies", ".rubies", ".sdkman/candidates/java", ".jdks",
		} {
			c.path = append(c.path, versions(home, dir)...)
		}
	}
	return c
}

// OfferAny makes the Catalog offer interpreters of a language, "ruby", in any version, under the name that it would have:
// "ruby3.1". It is for tests on machines whose interpreters Lambda knows not, and comes before every other call.
func (c *Catalog) OfferAny(language string) { c.any = language }

// versions returns the bin directories of what a version manager has installed.
func versions(root, dir string) (found []string) {
	dir = filepath.Join(root, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // the version manager is not there
	}
	for _, e := range entries {
		found = append(found, filepath.Join(dir, e.Name(), "bin"))
	}
	return found
}

// Find returns the runtime with a name, or an *UnavailableError that says what would help. A runtime that was installed
// meanwhile is found after a few seconds at most. Any other error is the context's, or one of the Catalog's files.
func (c *Catalog) Find(ctx context.Context, name string) (*Runtime, error) {
	if err := c.acquire(ctx); err != nil {
		return nil, err
	}
	defer c.release()
	r := c.runtimes[name]
	if stale := time.Since(c.scanned) > rescanAfter; stale && (r == nil || r.InstallSDK != "") {
		if err := c.scan(ctx); err != nil {
			return nil, err
		}
		r = c.runtimes[name]
	}
	if r == nil {
		return nil, &UnavailableError{name, thisDistribution().installCommand(name), names(c.runtimes)}
	}
	return r, nil
}

// All returns the runtimes that are here, by name.
func (c *Catalog) All(ctx context.Context) ([]*Runtime, error) {
	if err := c.acquire(ctx); err != nil {
		return nil, err
	}
	defer c.release()
	if c.runtimes == nil {
		if err := c.scan(ctx); err != nil {
			return nil, err
		}
	}
	var all []*Runtime
	for _, name := range names(c.runtimes) {
		all = append(all, c.runtimes[name])
	}
	return all, nil
}

// Refresh looks for the runtimes again.
func (c *Catalog) Refresh(ctx context.Context) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	return c.scan(ctx)
}

// Advise says what functions usually need and this machine lacks: a Python and a Node.js, and the AWS SDK for each of them.
func (c *Catalog) Advise(ctx context.Context) ([]Advice, error) {
	all, err := c.All(ctx)
	if err != nil {
		return nil, err
	}
	return append(
		advise(all, python, Advice{"Python 3", "apt-get install -y python3 python3-boto3"}, "boto3"),
		advise(all, nodejs, Advice{"Node.js", "apt-get install -y nodejs npm"}, "the AWS SDK for JavaScript v3")...), nil
}

func advise(all []*Runtime, f family, missing Advice, sdk string) []Advice {
	var here bool
	for _, r := range all {
		if r.family != f {
			continue
		}
		if here = true; r.SDK == "" {
			return []Advice{{sdk, r.InstallSDK}}
		}
	}
	if !here {
		return []Advice{missing}
	}
	return nil
}

// Missing says how the languages are installed that this machine cannot run, beyond those of Advise.
func (c *Catalog) Missing(ctx context.Context) (missing []Advice, err error) {
	all, err := c.All(ctx)
	if err != nil {
		return nil, err
	}
	d := thisDistribution()
	for _, f := range []struct {
		family  family
		need    string
		runtime string // the one to propose
	}{{ruby, "Ruby", "ruby3.4"}, {java, "Java", "java21"}} {
		if !slices.ContainsFunc(all, func(r *Runtime) bool { return r.family == f.family }) {
			missing = append(missing, Advice{f.need, d.installCommand(cmp.Or(d.offers(f.family), f.runtime))})
		}
	}
	return missing, nil
}

// Problems says which interpreters were found that cannot run functions, and why: one line each.
func (c *Catalog) Problems(ctx context.Context) ([]string, error) {
	if _, err := c.All(ctx); err != nil {
		return nil, err
	}
	if err := c.acquire(ctx); err != nil {
		return nil, err
	}
	defer c.release()
	return slices.Clone(c.problems), nil
}

func (c *Catalog) acquire(ctx context.Context) error {
	select {
	case c.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Catalog) release() { <-c.lock }

// scan finds out everything anew. The lock is held.
func (c *Catalog) scan(ctx context.Context) error {
	programs := candidates(c.path)
	findings, err := c.findings(ctx, programs)
	if err != nil {
		return err
	}
	found := providedRuntimes()
	var problems []string
	for i, p := range programs {
		r, err := c.newRuntime(p, findings[i])
		if err != nil {
			problems = append(problems, p.path+": "+err.Error())
			continue
		}
		if old := found[r.Name]; old == nil || better(r, old) {
			found[r.Name] = r
		}
	}
	c.runtimes, c.problems, c.scanned = found, problems, time.Now()
	return nil
}

// better prefers an interpreter with an SDK, then a newer one; of equals the one found first stays.
func better(a, b *Runtime) bool {
	if (a.SDK == "") != (b.SDK == "") {
		return a.SDK != ""
	}
	return compareVersions(a.Version, b.Version) > 0
}

// findings returns what each program said, from the cache file where that still holds.
func (c *Catalog) findings(ctx context.Context, programs []program) ([]*finding, error) {
	kept := c.load()
	results := make([]*finding, len(programs))
	errs := make([]error, len(programs))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	changed := false
	for i, p := range programs {
		if f := kept[p.stamp()]; f != nil && f.current() && exists(bootstrapDir(c.dir, p)) {
			results[i] = f
			continue
		}
		changed = true
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i], errs[i] = probe(ctx, c.dir, p)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil || !changed {
		return results, err
	}
	kept = make(map[string]*finding, len(programs))
	for i, p := range programs {
		kept[p.stamp()] = results[i]
	}
	return results, c.store(kept)
}

func (c *Catalog) cacheFile() string { return filepath.Join(c.dir, "interpreters.json") }

// load reads the cache file. A missing or damaged one holds nothing: it is made again.
func (c *Catalog) load() map[string]*finding {
	var kept map[string]*finding
	b, err := os.ReadFile(c.cacheFile())
	if err != nil || json.Unmarshal(b, &kept) != nil {
		return nil
	}
	return kept
}

func (c *Catalog) store(kept map[string]*finding) error {
	b, err := json.MarshalIndent(kept, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.dir, ".interpreters-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), c.cacheFile())
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// newRuntime makes a Runtime of a program and what it said.
func (c *Catalog) newRuntime(p program, f *finding) (*Runtime, error) {
	if f.Problem != "" {
		return nil, errors.New(f.Problem)
	}
	r := &Runtime{
		Version: f.Version, Interpreter: p.path, SDK: f.SDK, family: p.family, lang: language(),
		binds: append(systemBinds(), Bind{bootstrapDir(c.dir, p), RuntimeDir}),
	}
	parts := strings.SplitN(f.Version, ".", 3)
	if len(parts) != 3 {
		return nil, errors.New("strange version " + f.Version)
	}
	var supported bool
	switch p.family {
	case python:
		r.script = RuntimeDir + "/bootstrap.pyc"
		r.Name = "python" + parts[0] + "." + parts[1]
		r.major, supported = pythonMajor(r.Name)
	case nodejs:
		r.script = RuntimeDir + "/index.cjs"
		r.Name = "nodejs" + parts[0] + ".x"
		r.major, supported = nodeMajor(r.Name)
	case ruby:
		r.script = RuntimeDir + "/bootstrap.rb"
		r.Name = "ruby" + parts[0] + "." + parts[1]
		r.major, supported = rubyMajor(r.Name)
	case java:
		r.script = RuntimeDir + "/bootstrap.jar"
		r.Name = "java" + parts[0]
		r.major, supported = javaMajor(r.Name)
	}
	if !supported && (c.any == "" || !strings.HasPrefix(r.Name, c.any)) {
		return nil, errors.New("Lambda has no runtime for version " + f.Version)
	}
	if !inSystem(p.path) {
		r.prefix = f.Prefix
		r.binds = append(r.binds, Bind{f.Prefix, f.Prefix})
	}
	for _, dir := range append(libraryDirs(p.path, r.prefix), f.Sites...) {
		if !inSystem(dir) && (r.prefix == "" || !within(dir, r.prefix)) {
			r.binds = append(r.binds, Bind{dir, dir})
		}
	}
	if dir := bootstrapDir(c.dir, p); p.family == java && exists(filepath.Join(dir, javaArchive)) {
		r.archive = dir
		if !hidden(dir) && !inSystem(dir) {
			r.binds = append(r.binds, Bind{dir, dir})
		}
	}
	switch p.family {
	case python:
		if r.SDK == "" {
			c.addPythonSDK(r)
		}
		r.InstallSDK = c.installCommand("python")
		if inSystem(p.path) {
			r.InstallSDK = "apt-get install -y python3-boto3"
		}
	case nodejs:
		c.addNodeSDK(r, f)
		r.InstallSDK = c.installCommand("nodejs")
	case ruby:
		r.InstallSDK = filepath.Join(filepath.Dir(p.path), "gem") + " install aws-sdk"
	}
	if r.SDK != "" {
		r.InstallSDK = ""
	}
	return r, nil
}

// addNodeSDK finds the SDK where InstallNodeSDK puts it, or among the packages that are installed globally.
func (c *Catalog) addNodeSDK(r *Runtime, f *finding) {
	for _, dir := range []string{
		filepath.Join(nodeSDKDir(c.dir), "node_modules"), filepath.Join(f.Prefix, "lib", "node_modules"),
		"/usr/local/lib/node_modules", "/usr/lib/node_modules", "/usr/share/nodejs",
	} {
		if r.SDK = nodeSDKVersion(dir); r.SDK != "" {
			r.binds = append(r.binds, Bind{dir, RuntimeDir + "/node_modules"})
			return
		}
	}
}

// installCommand is what a user types to have InstallNodeSDK or InstallPythonSDK done.
func (c *Catalog) installCommand(language string) string {
	return "brume runtimes install " + language + " --runtimes-dir " + shellQuote(c.dir)
}

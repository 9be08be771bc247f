package runtimes

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// javaCommand starts the virtual machine as Lambda does: a heap of 85 % of the memory, the collector for one processor, and
// the compiler that is quick to start. What it says of itself in /tmp, which is the function's, is turned off.
// https://docs.aws.amazon.com/lambda/latest/dg/java-customization.html
func (r *Runtime) javaCommand(o Options) []string {
	command := []string{r.Interpreter}
	if o.MemoryMB > 0 {
		command = append(command, "-XX:MaxHeapSize="+strconv.Itoa(o.MemoryMB*1024*85/100)+"k")
	}
	return append(command, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData",
		"-Djava.net.preferIPv4Stack=true", "-jar", o.path(r.script), o.path(r.LayerPaths()[0]))
}

func probeJava(ctx context.Context, p program, work string) (*finding, error) {
	out, err := ask(ctx, p.path, "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-jar",
		filepath.Join(work, "bootstrap.jar"))
	if err != nil {
		return nil, err
	}
	f := &finding{}
	if err := json.Unmarshal(out, f); err != nil {
		return nil, err
	}
	f.Sites = configuration(f.Prefix)
	return f, nil
}

// configuration returns the directories of /etc that a Java installation, as Debian packages it, has links to.
func configuration(home string) (dirs []string) {
	for _, part := range []string{"conf", "lib"} {
		// What cannot be read has no links that matter: the virtual machine could not read it either.
		_ = filepath.WalkDir(filepath.Join(home, part), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Type()&fs.ModeSymlink == 0 {
				return nil
			}
			target, err := filepath.EvalSymlinks(path)
			if err != nil {
				return nil
			}
			name, ok := strings.CutPrefix(target, "/etc/java-")
			if dir := "/etc/java-" + strings.SplitN(name, "/", 2)[0]; ok && !slices.Contains(dirs, dir) {
				if info, err := os.Stat(dir); err == nil && info.IsDir() {
					dirs = append(dirs, dir)
				}
			}
			return nil
		})
	}
	return dirs
}

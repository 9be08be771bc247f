package runtimes

import (
	"context"
	"encoding/json"
	"fmt"
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
	command = append(command, javaFlags()...)
	script := o.path(r.script)
	if r.archive != "" && (o.HostPath != nil || !hidden(r.archive)) {
		script = r.archive + "/bootstrap.jar"
		// An archive that the virtual machine does not like is not worth a line in a function's log.
		command = append(command, "-XX:SharedArchiveFile="+r.archive+"/"+javaArchive, "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
	}
	return append(command, "-jar", script, o.path(r.LayerPaths()[0]))
}

func javaFlags() []string {
	return []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true"}
}

// javaArchive has the classes of the bootstrap as the virtual machine wants them in memory, which halves its start. It is made
// for a jar at one path and holds for no other, so functions see the jar at the path that it has on the host.
const javaArchive = "bootstrap.jsa"

// archiveJava makes the archive in the directory of a bootstrap, if this Java can: from version 13 on.
func archiveJava(ctx context.Context, p program, dir string) error {
	made := filepath.Join(dir, ".new."+strconv.Itoa(os.Getpid())+"."+javaArchive)
	_, err := ask(ctx, p.path, append(javaFlags(), "-XX:ArchiveClassesAtExit="+made, "-jar", filepath.Join(dir, "bootstrap.jar"))...)
	if err == nil {
		err = os.Chmod(made, 0o444)
	}
	if err == nil {
		err = os.Rename(made, filepath.Join(dir, javaArchive))
	}
	if err != nil {
		_ = os.Remove(made) // which may not be there
	}
	return err
}

// hidden says whether sandboxes have something else where a directory is on the host.
func hidden(dir string) bool {
	return slices.ContainsFunc([]string{"/tmp", "/dev", "/proc", "/etc", TaskRoot, LayerRoot, RuntimeDir}, func(d string) bool { return within(dir, d) })
}

func probeJava(ctx context.Context, p program, work string) (*finding, error) {
	out, err := ask(ctx, p.path, append(javaFlags(), "-jar", filepath.Join(work, "bootstrap.jar"))...)
	if err != nil {
		return nil, fmt.Errorf("it does not run what Java 11 runs: %w", err)
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

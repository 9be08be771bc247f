package runtimes

import (
	"bufio"
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
)

// libraryDirs returns the directories outside of the system's and of prefix that hold shared libraries of a program: the
// ones that the program or its libraries name themselves, and the ones of ld.so.conf.
func libraryDirs(program, prefix string) []string {
	s := librarySearch{
		known:  func(dir string) bool { return inSystem(dir) || prefix != "" && within(dir, prefix) },
		config: configuredDirs("/etc/ld.so.conf", 0),
		seen:   map[string]bool{},
	}
	s.visit(program)
	return s.found
}

type librarySearch struct {
	known  func(dir string) bool
	config []string
	seen   map[string]bool
	found  []string
}

func (s *librarySearch) visit(file string) {
	if s.seen[file] || len(s.seen) > 1000 {
		return
	}
	s.seen[file] = true
	f, err := elf.Open(file)
	if err != nil {
		return // not a library: then it needs none
	}
	defer f.Close()
	needed, err := f.ImportedLibraries()
	if err != nil {
		return
	}
	dirs := s.config
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		values, err := f.DynString(tag)
		if err != nil {
			continue
		}
		for _, value := range values {
			for dir := range strings.SplitSeq(value, ":") {
				for _, origin := range []string{"$ORIGIN", "${ORIGIN}"} {
					dir = strings.ReplaceAll(dir, origin, filepath.Dir(file))
				}
				dirs = append([]string{dir}, dirs...)
			}
		}
	}
	for _, name := range needed {
		for _, dir := range dirs {
			library, err := filepath.EvalSymlinks(filepath.Join(dir, name))
			if err != nil || !filepath.IsAbs(library) {
				continue
			}
			for _, d := range []string{filepath.Clean(dir), filepath.Dir(library)} {
				if !s.known(d) && !s.seen[d] {
					s.seen[d] = true
					s.found = append(s.found, d)
				}
			}
			s.visit(library)
			break
		}
	}
}

// configuredDirs reads a configuration file of the dynamic linker.
func configuredDirs(file string, depth int) (dirs []string) {
	f, err := os.Open(file)
	if err != nil || depth > 4 {
		return nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		line = strings.TrimSpace(line)
		if pattern, ok := strings.CutPrefix(line, "include "); ok {
			pattern = strings.TrimSpace(pattern)
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(file), pattern)
			}
			files, err := filepath.Glob(pattern)
			if err != nil {
				continue
			}
			for _, file := range files {
				dirs = append(dirs, configuredDirs(file, depth+1)...)
			}
		} else if filepath.IsAbs(line) {
			dirs = append(dirs, line)
		}
	}
	return dirs
}

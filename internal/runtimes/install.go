package runtimes

import (
	"bufio"
	"os"
	"slices"
	"strings"
)

// An UnavailableError says that this machine cannot run a runtime, and what would help.
type UnavailableError struct {
	Runtime string
	// Install is the command that installs the runtime; empty if Brume does not support it at all.
	Install string
	// Available are the names of the runtimes that are here.
	Available []string
}

func (e *UnavailableError) Error() string {
	here := " Available runtimes: " + strings.Join(e.Available, ", ") + "."
	if e.Install == "" {
		return "The runtime " + e.Runtime + " is not supported by Brume." + here
	}
	return "The runtime " + e.Runtime + " is not installed on this machine. Install it with: " + e.Install + "." + here
}

// Advice is a command for something that functions usually need and that is not here.
type Advice struct {
	Need    string // "Python 3", "boto3", "Node.js", "the AWS SDK for JavaScript v3", "Java"
	Command string
}

// A distribution is what os-release says of the system, and the interpreters that its package manager installs.
type distribution struct {
	python, node, ruby string   // major versions; empty if they are not known
	java               []string // likewise, the newest first
}

func thisDistribution() distribution {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return distribution{}
	}
	defer f.Close()
	fields := make(map[string]string)
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), "=")
		fields[name] = strings.Trim(value, `"`)
	}
	return distributionOf(fields["ID"], fields["VERSION_ID"])
}

func distributionOf(id, version string) distribution {
	switch id + " " + version {
	case "debian 11":
		return distribution{python: "3.9", node: "12", ruby: "2.7", java: []string{"17", "11"}}
	case "debian 12":
		return distribution{python: "3.11", node: "18", ruby: "3.1", java: []string{"17"}}
	case "debian 13":
		return distribution{python: "3.13", node: "20", ruby: "3.3", java: []string{"25", "21"}}
	case "ubuntu 20.04":
		return distribution{python: "3.8", node: "10", ruby: "2.7", java: []string{"21", "17", "11"}}
	case "ubuntu 22.04":
		return distribution{python: "3.10", node: "12", ruby: "3.0", java: []string{"21", "17", "11"}}
	case "ubuntu 24.04":
		return distribution{python: "3.12", node: "18", ruby: "3.2", java: []string{"21", "17", "11"}}
	}
	return distribution{}
}

// installCommand installs a runtime; it is empty for what Brume cannot run.
func (d distribution) installCommand(runtime string) string {
	if major, ok := pythonMajor(runtime); ok {
		if major == d.python {
			return "apt-get install -y python3 python3-boto3"
		}
		return `pyenv install ` + major + ` && "$(pyenv prefix "$(pyenv latest ` + major + `)")"/bin/python3 -m pip install boto3`
	}
	if major, ok := nodeMajor(runtime); ok {
		if major == d.node {
			return "apt-get install -y nodejs npm"
		}
		return "nvm install " + major
	}
	if major, ok := rubyMajor(runtime); ok {
		if major == d.ruby {
			return "apt-get install -y ruby"
		}
		return `rbenv install "$(rbenv install -l | grep -m1 '^` + strings.ReplaceAll(major, ".", `\.`) + `\.')"`
	}
	if major, ok := javaMajor(runtime); ok {
		if slices.Contains(d.java, major) {
			return "apt-get install -y openjdk-" + major + "-jre-headless"
		}
		return `sdk install java "$(sdk list java | grep -oE ' ` + major + `\.[0-9.]+-tem' | head -1)"`
	}
	return ""
}

// offers returns the newest runtime of a family, Ruby or Java, that the package manager installs; empty if there is none.
func (d distribution) offers(f family) string {
	switch {
	case f == ruby && d.ruby != "":
		if _, ok := rubyMajor("ruby" + d.ruby); ok {
			return "ruby" + d.ruby
		}
	case f == java && len(d.java) > 0:
		return "java" + d.java[0]
	}
	return ""
}

// pythonMajor returns the "3.N" of "python3.N", for the versions that Lambda still takes functions for.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html#runtimes-deprecated
func pythonMajor(runtime string) (string, bool) {
	major, ok := strings.CutPrefix(runtime, "python")
	minor, ok2 := strings.CutPrefix(major, "3.")
	n, ok3 := number(minor)
	return major, ok && ok2 && ok3 && n >= 8
}

// nodeMajor returns the N of "nodejsN.x", for the versions that Lambda still takes functions for.
func nodeMajor(runtime string) (string, bool) {
	rest, ok := strings.CutPrefix(runtime, "nodejs")
	major, ok2 := strings.CutSuffix(rest, ".x")
	n, ok3 := number(major)
	return major, ok && ok2 && ok3 && n >= 18
}

// rubyMajor returns the "M.N" of "rubyM.N", for the versions that Lambda still takes functions for.
func rubyMajor(runtime string) (string, bool) {
	major, ok := strings.CutPrefix(runtime, "ruby")
	return major, ok && isMajorMinor(major) && compareVersions(major, "3.2") >= 0
}

// javaMajor returns the N of "javaN", for the versions that Lambda still takes functions for: of those with long-term support.
func javaMajor(runtime string) (string, bool) {
	major, ok := strings.CutPrefix(runtime, "java")
	n, ok2 := number(major)
	return major, ok && ok2 && (n == 11 || n >= 17 && n%4 == 1)
}

// isMajorMinor says whether s is two numbers with a point between them.
func isMajorMinor(s string) bool {
	major, minor, _ := strings.Cut(s, ".")
	_, ok := number(major)
	_, ok2 := number(minor)
	return ok && ok2
}

// number reads one to four digits without zeros before them.
func number(s string) (n int, ok bool) {
	if len(s) == 0 || len(s) > 4 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

// compareVersions orders "3.9.18" before "3.10.2". What is not a number counts as 0.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		m, _ := number(x)
		n, _ := number(y)
		if m != n {
			return m - n
		}
	}
	return 0
}

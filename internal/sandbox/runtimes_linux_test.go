//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// The programs that functions are written in work: what is allowed is enough for them.

const pythonProgram = `
import json, multiprocessing, os, socket, sqlite3, ssl, subprocess, sys, tempfile, threading, time
out = {"uid": os.getuid(), "cwd": os.getcwd(), "cpus": os.cpu_count() > 0, "env": sorted(os.environ)}
t = threading.Thread(target=lambda: out.update(thread=True)); t.start(); t.join()
with tempfile.NamedTemporaryFile("w+") as f:
    f.write("x"); f.flush(); out["tmp"] = f.name.startswith("/tmp/")
q = multiprocessing.Queue()
p = multiprocessing.Process(target=q.put, args=(42,)); p.start(); out["queue"] = q.get(timeout=20); p.join()
out["sub"] = subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, text=True, check=True).stdout.strip()
db = sqlite3.connect("/tmp/x.db"); db.execute("create table t(a)"); db.execute("insert into t values (3)"); db.commit()
out["sql"] = db.execute("select a from t").fetchone()[0]
out["tls"] = ssl.create_default_context() is not None
out["addr"] = socket.getaddrinfo("function.test", 80, socket.AF_INET)[0][4][0]
c = socket.create_connection(("127.0.0.1", 9001)); c.sendall(b"ping tcp"); out["reply"] = c.recv(100).decode(); c.close()
print(json.dumps(out, sort_keys=True))
`

const nodeProgram = `
const fs = require("fs"), os = require("os"), dns = require("dns"), net = require("net"), cp = require("child_process");
const { Worker } = require("worker_threads");
const out = { uid: process.getuid(), cwd: process.cwd(), cpus: os.cpus().length > 0, mem: os.totalmem() > 0,
  net: Object.keys(os.networkInterfaces()), env: Object.keys(process.env).sort() };
fs.writeFileSync("/tmp/x", "y"); out.tmp = fs.readFileSync("/tmp/x", "utf8");
out.sub = cp.execFileSync(process.execPath, ["-p", "7"]).toString().trim();
out.hash = require("crypto").createHash("sha256").update("x").digest("hex").slice(0, 8);
let f = (n) => n < 2 ? n : f(n - 1) + f(n - 2); out.jit = f(25);
const worker = new Worker("require('worker_threads').parentPort.postMessage(5)", { eval: true });
worker.on("message", (m) => { out.worker = m;
  dns.lookup("function.test", { family: 4 }, (err, addr) => { out.addr = err ? String(err) : addr;
    const c = net.connect(9001, "127.0.0.1", () => c.write("ping tcp"));
    c.on("data", (d) => { out.reply = d.toString(); c.destroy(); console.log(JSON.stringify(out)); });
  });
});
`

func init() {
	roles["network"] = func([]string) int {
		addrs, err := net.LookupHost("function.test")
		if err != nil {
			panic(err)
		}
		conn, err := net.Dial("tcp", "127.0.0.1:9001")
		if err != nil {
			panic(err)
		}
		fmt.Fprint(conn, "ping tcp")
		b := make([]byte, 100)
		n, err := conn.Read(b)
		if err != nil {
			panic(err)
		}
		ifs, err := net.Interfaces()
		if err != nil {
			panic(err)
		}
		// A socket of its own on the loopback.
		l, err := net.Listen("tcp", "127.0.0.1:8080")
		if err != nil {
			panic(err)
		}
		l.Close()
		fmt.Println(addrs[0], string(b[:n]), len(ifs), ifs[0].Name)
		return 0
	}
}

// networkConfig adds a name server and the Runtime API's place.
func networkConfig(c *Config) *Config {
	c.Listen = []ListenSpec{{"tcp", "127.0.0.1:9001"}, {"udp", "127.0.0.1:53"}}
	c.Files = append(c.Files,
		File{Path: "/etc/resolv.conf", Data: []byte("nameserver 127.0.0.1\n")},
		File{Path: "/etc/nsswitch.conf", Data: []byte("hosts: files dns\n")},
		File{Path: "/etc/hosts", Data: []byte("127.0.0.1 localhost\n")},
		File{Path: "/etc/passwd", Data: []byte("sbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n")})
	c.MemoryBytes = 512 << 20
	c.TmpBytes = 64 << 20
	return c
}

// serve answers on the sockets of networkConfig: every name is 192.0.2.7.
func serve(t *testing.T, p Process) *sync.WaitGroup {
	wg := echo(t, p.Sockets()[:1])
	wg.Go(func() {
		b := make([]byte, 512)
		for {
			n, from, err := p.Sockets()[1].Packet.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			var m dnsmessage.Message
			if err == nil {
				err = m.Unpack(b[:n])
			}
			if err != nil {
				t.Error(err)
				return
			}
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
					Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}},
				}}
			}
			reply, err := m.Pack()
			if err == nil {
				_, err = p.Sockets()[1].Packet.WriteTo(reply, from)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	return wg
}

func runProgram(t *testing.T, c *Config, want string) {
	t.Helper()
	d := openLinux(t)
	defer d.Close()
	r := start(t, d, networkConfig(c))
	wg := serve(t, r)
	out := r.output(t)
	if exit := r.Wait(); exit.Code != 0 || strings.TrimSpace(out) != want {
		t.Errorf("%+v\n%s\nwant %s", exit, out, want)
	}
	for _, s := range r.Sockets() {
		s.close()
	}
	wg.Wait()
}

func TestGo(t *testing.T) {
	dir, path := self(t)
	runProgram(t, &Config{
		Binds:   append(system(), Bind{dir, taskRoot}),
		Command: []string{path},
		Env:     []string{roleEnv + "=network", raceOptions},
	}, "192.0.2.7 re: ping tcp 1 lo")
}

// interpreter finds a program among paths, and the directories outside of the system's that it needs.
func interpreter(t *testing.T, paths ...string) string {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Skipf("this machine has none of %v", paths)
	return ""
}

func TestPython(t *testing.T) {
	python := interpreter(t, "/usr/bin/python3.13", "/usr/bin/python3.12", "/usr/bin/python3.11", "/usr/bin/python3")
	runProgram(t, &Config{
		Binds:   append(system(), certificates()...),
		Command: []string{python, "-c", pythonProgram},
		Env:     []string{"LANG=C.UTF-8"},
	}, `{"addr": "192.0.2.7", "cpus": true, "cwd": "/", "env": ["LANG"], "queue": 42, "reply": "re: ping tcp", "sql": 3, `+
		`"sub": "7", "thread": true, "tls": true, "tmp": true, "uid": 993}`)
}

func TestNode(t *testing.T) {
	node := interpreter(t, "/usr/bin/node", "/usr/local/bin/node")
	runProgram(t, &Config{
		Binds:   append(system(), certificates()...),
		Command: []string{node, "-e", nodeProgram},
		Env:     []string{"LANG=C.UTF-8"},
	}, `{"uid":993,"cwd":"/","cpus":true,"mem":true,"net":["lo"],"env":["LANG"],"tmp":"y","sub":"7","hash":"2d711642",`+
		`"jit":75025,"worker":5,"addr":"192.0.2.7","reply":"re: ping tcp"}`)
}

func TestJava(t *testing.T) {
	java, err := filepath.EvalSymlinks(interpreter(t, "/usr/bin/java"))
	if err != nil {
		t.Fatal(err)
	}
	d := openLinux(t)
	defer d.Close()
	c := networkConfig(&Config{
		Binds:   append(system(), certificates()...),
		Command: []string{java, "-Xmx128m", "-XX:+UseSerialGC", "-version"},
	})
	// Debian keeps a part of the JDK in /etc.
	if etc, err := filepath.Glob("/etc/java-*"); err == nil {
		for _, dir := range etc {
			c.Binds = append(c.Binds, Bind{dir, dir})
		}
	}
	if out := start(t, d, c).ok(t); !strings.Contains(out, "version") {
		t.Error(out)
	}
}

func certificates() []Bind {
	if _, err := os.Stat("/etc/ssl"); err != nil {
		return nil
	}
	return []Bind{{"/etc/ssl", "/etc/ssl"}}
}

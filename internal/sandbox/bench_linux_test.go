//go:build linux && (amd64 || arm64)

package sandbox

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func benchmarkConfig() *Config {
	return &Config{
		Binds: append(system(), certificates()...),
		Files: []File{
			{Path: "/etc/resolv.conf", Data: []byte("nameserver 127.0.0.1\n")},
			{Path: "/etc/bundle.pem", Data: make([]byte, 200<<10)},
		},
		Command:     []string{"/bin/sleep", "60"},
		MemoryBytes: 128 << 20,
		TmpBytes:    512 << 20,
		Listen:      []ListenSpec{{"tcp", "127.0.0.1:9001"}, {"tcp", "127.0.0.1:443"}, {"tcp", "127.0.0.1:80"}, {"udp", "127.0.0.1:53"}},
	}
}

// BenchmarkStart is the time from Start to the execution of the command, while others are being removed.
func BenchmarkStart(b *testing.B) {
	d := openLinux(b)
	defer d.Close()
	c := benchmarkConfig()
	var times []time.Duration
	for b.Loop() {
		begin := time.Now()
		p, err := d.Start(b.Context(), c)
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(begin))
		b.StopTimer()
		p.Kill()
		p.Wait()
		b.StartTimer()
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "µs/median")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "µs/p99")
}

// BenchmarkProcess is the same program without a sandbox.
func BenchmarkProcess(b *testing.B) {
	for b.Loop() {
		cmd := exec.Command("/bin/sleep", "60")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		b.StartTimer()
	}
}

// BenchmarkFirstProcess reports what the first process of a sandbox, a clone of the spawner, keeps in memory of its own.
func BenchmarkFirstProcess(b *testing.B) {
	d := openLinux(b)
	defer d.Close()
	var private int64
	for b.Loop() {
		p, err := d.Start(b.Context(), benchmarkConfig())
		if err != nil {
			b.Fatal(err)
		}
		private = kilobytes("/proc/"+strconv.Itoa(p.PID())+"/smaps_rollup", "Private_Dirty", "Private_Clean")
		p.Kill()
		p.Wait()
	}
	b.ReportMetric(float64(private>>10), "KiB/private")
	for _, pid := range descendants(os.Getpid()) {
		c, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err == nil && strings.Contains(string(c), spawnArg) {
			b.ReportMetric(float64(kilobytes("/proc/"+strconv.Itoa(pid)+"/status", "VmRSS")>>10), "KiB/spawner")
		}
	}
}

// BenchmarkDial is one connection to what listens inside.
func BenchmarkDial(b *testing.B) {
	d := openLinux(b)
	defer d.Close()
	c := roleConfig(b, d, "accept")
	c.Dial = true
	p := start(b, d, c)
	port, err := strconv.Atoi(p.line(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		nc, err := p.Dial(b.Context(), uint16(port))
		if err != nil {
			b.Fatal(err)
		}
		nc.Close()
	}
	p.Kill()
	p.Wait()
	p.out.Close()
}

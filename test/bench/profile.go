package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// layers are the parts of Brume that CPU time is put down to. A sample belongs to the first layer that one of its frames
// belongs to, what it allocates included.
var layers = []struct {
	name   string
	frames []string // parts of the names of functions
}{
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.gcAssist", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcStart"}},
	{"authorise", []string{"Dispatcher).authorize"}},
	{"verify the signature", []string{"wire/sigv4."}},
	{"decode", []string{"Codec).Decode"}},
	{"encode", []string{"Codec).Encode"}},
	{"validate", []string{"schema.(*Validator)"}},
	{"log record", []string{"log/slog.", "obs.(*bufferedWriter)", "obs.(*Log)"}},
	{"metric", []string{"obs.(*Metrics)"}},
	{"store: fsync", []string{"syncWithLatency"}},
	{"store: commit", []string{"pebblekv.(*Store).commit", "pebblekv.(*Store).keepHouse", "record.(*LogWriter)", "pebble/v2.(*DB).flush", "pebble/v2.(*DB).compact"}},
	{"store: read", []string{"pebblekv.", "cockroachdb/pebble"}},
	{"sockets", []string{"net.(*conn)", "net/http.(*connReader)", "net/http.(*ResponseController)"}},
	{"service", []string{"service/dynamodb"}},
	{"wire: the rest", []string{"internal/wire."}},
	{"net/http: the rest", []string{"net/http."}},
	{"scheduler", []string{"runtime.mcall", "runtime.schedule", "runtime.findRunnable", "runtime.park_m", "runtime.mstart", "runtime.goexit0"}},
}

// profile prints, for each operation, where its CPU time goes. A server each, as a profile covers a server's whole life.
func (b *bench) profile(ctx context.Context, brume, dir string) (err error) {
	data, err := os.MkdirTemp("", "brume-profile-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	type column struct {
		name  string
		total time.Duration
		spent map[string]time.Duration
	}
	b.echo = noEcho
	var columns []column
	for _, op := range dynamoOperations("bench") {
		if !b.loads.MatchString(op.name) {
			continue
		}
		file := filepath.Join(dir, op.name+".pprof")
		if err := b.profileOne(ctx, brume, filepath.Join(data, op.name), file, op.name); err != nil {
			return err
		}
		c := column{name: op.name, spent: map[string]time.Duration{}}
		traces, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", brume, file).Output()
		if err != nil {
			return err
		}
		for trace := range strings.SplitSeq(string(traces), "-----------+") {
			// Labels come first, then a line that begins with the time.
			for stack := trace; stack != ""; _, stack, _ = strings.Cut(stack, "\n") {
				if fields := strings.Fields(stack); len(fields) > 1 {
					if d, err := time.ParseDuration(fields[0]); err == nil {
						c.total += d
						c.spent[layerOf(stack)] += d
						break
					}
				}
			}
		}
		columns = append(columns, c)
	}
	fmt.Printf("\n%-36s", "share of CPU time, %")
	for _, c := range columns {
		fmt.Printf("%12s", c.name)
	}
	fmt.Println()
	row := func(layer string) {
		fmt.Printf("%-36s", layer)
		for _, c := range columns {
			fmt.Printf("%12.1f", 100*c.spent[layer].Seconds()/c.total.Seconds())
		}
		fmt.Println()
	}
	for _, l := range layers {
		row(l.name)
	}
	row(otherLayer)
	return nil
}

const otherLayer = "other"

func layerOf(stack string) string {
	for _, l := range layers {
		for _, f := range l.frames {
			if strings.Contains(stack, f) {
				return l.name
			}
		}
	}
	return otherLayer
}

// profileOne runs the load of one operation on a server that writes a profile.
func (b *bench) profileOne(ctx context.Context, brume, dir, file, operation string) error {
	if err := b.start(ctx, brume, dir, "--cpu-profile", file); err != nil {
		return err
	}
	requests, _, err := b.prepare(ctx)
	if err == nil {
		err = b.measure(operation, 0, requests[operation])
	}
	return errors.Join(err, b.server.Stop())
}

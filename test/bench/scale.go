package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"brume/test/story"
)

const (
	batchSize    = 25 // https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
	scaleReads   = 20_000
	scaleLoaders = 8
)

// scale prints what reads cost in a table as it grows, and how long the server takes to start on it. One client reads
// items anywhere in the table, so that latency is that of a read and not of a queue.
func (b *bench) scale(ctx context.Context, brume string, sizes []int) (err error) {
	dir, err := os.MkdirTemp("", "brume-scale-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	data := filepath.Join(dir, "data")
	if err := b.start(ctx, brume, data); err != nil {
		return err
	}
	running := true
	defer func() {
		if running {
			err = errors.Join(err, b.server.Stop())
		}
	}()
	cfg, err := b.user(ctx, "bench")
	if err != nil {
		return err
	}
	if err := createTable(ctx, dynamodb.NewFromConfig(cfg), "bench"); err != nil {
		return err
	}
	b.workers = 1
	b.echo = noEcho
	fmt.Printf("%-40s %10s %12s %10s %9s %9s\n", "1 worker, 400 B", "per second", "CPU per op", "", "p50", "p99")
	loaded := 0
	for _, size := range sizes {
		began := time.Now()
		if err := b.fill(cfg, loaded, size); err != nil {
			return err
		}
		added := size - loaded
		loaded = size
		perSecond := float64(added) / time.Since(began).Seconds()
		if err := b.settle(); err != nil {
			return err
		}
		for _, op := range dynamoOperations("bench") {
			if op.name != "GetItem" && op.name != "Query" {
				continue
			}
			var requests [][]byte
			for range scaleReads {
				i := rand.N(size)
				r, err := b.signed(cfg, "dynamodb", http.MethodPost, "/", "DynamoDB_20120810."+op.name,
					[]byte(op.body(i/partitionItems, i%partitionItems)))
				if err != nil {
					return err
				}
				requests = append(requests, r)
			}
			if err := b.measure(fmt.Sprintf("%s of %d items", op.name, size), 0, requests); err != nil {
				return err
			}
		}
		rss, err := rssBytes(b.server.PID())
		if err != nil {
			return err
		}
		fmt.Printf("    loaded at %.0f items a second; RSS %.0f MiB\n", perSecond, float64(rss)/(1<<20))
	}
	running = false
	if err := b.server.Stop(); err != nil {
		return err
	}
	stored, err := sizeOf(filepath.Join(data, "store"))
	if err != nil {
		return err
	}
	listen, err := story.FreeAddress()
	if err != nil {
		return err
	}
	best := time.Hour
	for range 3 {
		began := time.Now()
		server, err := story.StartServerAt(ctx, brume, data, listen)
		if err != nil {
			return err
		}
		best = min(best, time.Since(began))
		if err := server.Stop(); err != nil {
			return err
		}
	}
	fmt.Printf("start to first 200 on %.2f GB        %6.1f ms (best of 3)\n", float64(stored)/1e9, best.Seconds()*1e3)
	return nil
}

// fill puts the items from one number to another, in batches.
func (b *bench) fill(cfg aws.Config, from, to int) error {
	put := dynamoOperations("bench")[0]
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	failed := make(chan error, scaleLoaders)
	for range scaleLoaders {
		wg.Go(func() {
			failed <- func() error {
				conn, err := net.Dial("tcp", b.address())
				if err != nil {
					return err
				}
				defer conn.Close()
				answers := bufio.NewReader(conn)
				for {
					first := int(next.Add(batchSize)) - batchSize
					if first >= to {
						return nil
					}
					var puts []string
					for i := first; i < min(first+batchSize, to); i++ {
						// The item is what is not the table's name.
						_, item, _ := strings.Cut(put.body(i/partitionItems, i%partitionItems), ",")
						puts = append(puts, `{"PutRequest":{`+strings.Replace(item, strings.Repeat("x", itemText), noise(), 1)+`}`)
					}
					r, err := b.signed(cfg, "dynamodb", http.MethodPost, "/", "DynamoDB_20120810.BatchWriteItem",
						[]byte(`{"RequestItems":{"bench":[`+strings.Join(puts, ",")+`]}}`))
					if err != nil {
						return err
					}
					if err := exchange(conn, answers, r); err != nil {
						return err
					}
				}
			}()
		})
	}
	wg.Wait()
	close(failed)
	var err error
	for e := range failed {
		err = errors.Join(err, e)
	}
	return err
}

// noise is the text of an item that cannot be compressed, so that a table takes the room that its items have.
func noise() string {
	raw := make([]byte, itemText*3/4)
	for i := 0; i < len(raw); i += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], rand.Uint64())
		copy(raw[i:], word[:])
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// settle waits until the server has nothing more to do: what has been written is sorted in the background.
func (b *bench) settle() error {
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); {
		before, err := cpuTime(b.server.PID())
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		after, err := cpuTime(b.server.PID())
		if err != nil {
			return err
		}
		if after-before <= 10*time.Millisecond {
			return nil
		}
	}
	return nil
}

func sizeOf(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

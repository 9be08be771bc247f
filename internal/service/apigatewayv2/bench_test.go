package apigatewayv2

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/edge"
	"brume/internal/kv/pebblekv"
)

// What a request costs besides its function, with few and with many routes, and what it costs to find that an API is none of
// this service's.
func BenchmarkInvoke(b *testing.B) {
	for _, routes := range []int{10, 300} {
		b.Run(fmt.Sprintf("%d routes", routes), func(b *testing.B) {
			g := newTester(b)
			store, err := pebblekv.Open(b.Context(), pebblekv.Options{Dir: "db", FS: vfs.NewMem()})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			g.Store = store
			id := g.api(nil)
			r := g.lambdaRoute(id, "GET /r0/{id}", "2.0")
			for i := 1; i < routes; i++ {
				must(g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new(fmt.Sprintf("GET /r%d/{id}", i)), Target: r.Target}))
			}
			g.Buckets = edge.NewBuckets()
			b.ReportAllocs()
			for b.Loop() {
				g.lambda.calls = g.lambda.calls[:0]
				// The account's throttle would refuse most.
				if res := g.send(request(id, "GET", "/r0/7?q=1", edge.Field{"Host", "x"})); res.Status != 200 && res.Status != 429 {
					b.Fatal(res.Status)
				}
				g.Buckets = edge.NewBuckets()
			}
		})
	}
	b.Run("another's", func(b *testing.B) {
		g := newTester(b)
		store, err := pebblekv.Open(b.Context(), pebblekv.Options{Dir: "db", FS: vfs.NewMem()})
		if err != nil {
			b.Fatal(err)
		}
		defer store.Close()
		g.Store = store
		g.api(nil)
		r := request("nothing", "GET", "/")
		b.ReportAllocs()
		for b.Loop() {
			if _, there := g.Invoke(b.Context(), r); there {
				b.Fatal("it is there")
			}
		}
	})
}

// What a message costs besides its function and its way over the network.
func BenchmarkMessage(b *testing.B) {
	g := newTester(b)
	store, err := pebblekv.Open(b.Context(), pebblekv.Options{Dir: "db", FS: vfs.NewMem()})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	g.Store = store
	id := g.socketAPI()
	g.route(id, "say", toFunction())
	session, _, _ := g.Connect(b.Context(), toSocket(id))
	defer session.Abort()
	c := session.(*connection)
	message := []byte(`{"action":"say","text":"hello","room":"room1234"}`)
	b.ReportAllocs()
	for b.Loop() {
		g.lambda.calls = g.lambda.calls[:0]
		g.Buckets = edge.NewBuckets() // the account's throttle would refuse most
		t := c.turn("", "MESSAGE", c.connectedAt)
		t.messageID, t.body = newRequestID(), message
		if _, fault := g.runMessage(b.Context(), t); fault != nil {
			b.Fatal(fault)
		}
	}
}

package apigateway

import (
	"bytes"
	"crypto/sha256"
	"log/slog"
	"testing"

	"pgregory.net/rapid"

	"brume/internal/kv"
	"brume/internal/kv/pebblekv"
)

func TestKeysRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		sc := scope{text.Draw(t, "account"), text.Draw(t, "region")}
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		for tag, key := range map[byte][]byte{tagResource: resourceKey(sc, a, b), tagDeployment: deploymentKey(sc, a, b), tagSnapshot: snapshotKey(sc, a, b),
			tagStage: stageKey(sc, a, b), tagPlanKey: planKeyKey(sc, a, b), tagKeyPlan: keyPlanKey(sc, a, b)} {
			if got, err := lastElement(key, tag, 2); err != nil || got != b {
				t.Fatalf("%c: %q, %v; want %q", tag, got, err, b)
			}
			if !bytes.HasPrefix(key, inScope(tag, sc, a)) {
				t.Fatalf("%c: not under its prefix", tag)
			}
		}
		for tag, key := range map[byte][]byte{tagAPI: restAPIKey(sc, a), tagKey: keyKey(sc, a), tagPlan: planKey(sc, a)} {
			if got, err := lastElement(key, tag, 1); err != nil || got != a {
				t.Fatalf("%c: %q, %v; want %q", tag, got, err, a)
			}
		}
		d := day(rapid.Int64Range(-1e6, 1e6).Draw(t, "day"))
		id := usageID{sc, a, b}
		if got, err := parseUsageDay(usageKey(id, d)); err != nil || got != d {
			t.Fatalf("day %v, %v; want %v", got, err, d)
		}
		if bytes.Compare(usageKey(id, d), usageKey(id, d+1)) >= 0 {
			t.Fatal("days are out of order")
		}
		row := indexRow{sc, rapid.Uint64().Draw(t, "version")}
		if got, err := parseIndexRow(row.encode()); err != nil || got != row {
			t.Fatalf("index %+v, %v; want %+v", got, err, row)
		}
	})
	keys := [][]byte{indexKey("x"), restAPIKey(scope{}, "x"), keyHashKey(scope{}, sha256.Sum256(nil)), versionKey(scope{}), accountKey(scope{})}
	for i, k := range keys {
		for j, other := range keys {
			if i != j && bytes.Equal(k, other) {
				t.Errorf("keys %d and %d are one", i, j)
			}
		}
	}
}

// Everything is there and works after a restart, on the real store.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	open := func() kv.Store {
		s, err := pebblekv.Open(t.Context(), pebblekv.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	store := open()
	g := newGatewayOn(t, store)
	id, _ := g.api()
	g.proxy(id, "/a/{x}", "GET", true)
	g.deploy(id, "dev")
	keyValue, _, _ := g.key(id, "dev", nil, nil)
	r := request(id, "dev", "GET", "/a/1", Field{"X-Api-Key", keyValue})
	g.want(r, 200, "ok")
	if err := g.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = open()
	defer store.Close()
	g = newGatewayOn(t, store)
	g.want(r, 200, "ok")
}

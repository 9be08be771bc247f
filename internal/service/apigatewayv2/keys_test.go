package apigatewayv2

import (
	"bytes"
	"testing"

	"brume/internal/kv"
)

func TestIndexRow(t *testing.T) {
	row := indexRow{scope{"123456789012", "us-east-1"}, 1 << 40}
	got, err := parseIndexRow(row.encode())
	if err != nil || got != row {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := parseIndexRow([]byte("nonsense")); err == nil {
		t.Error("nonsense is an index row")
	}
}

// The rows of one API, or of one account and region, are those under its prefix, whatever the names are.
func TestKeysAreApart(t *testing.T) {
	inside := func(key, prefix []byte) bool {
		r := kv.Prefix(prefix)
		return bytes.Compare(key, r.Start) >= 0 && bytes.Compare(key, r.End) < 0
	}
	sc := scope{"123456789012", "us-east-1"}
	if !inside(snapshotKey("a", "d"), snapshotsPrefix("a")) || inside(snapshotKey("ab", "d"), snapshotsPrefix("a")) || inside(snapshotKey("a", "d"), snapshotsPrefix("ab")) {
		t.Error("snapshots")
	}
	if !inside(apiKey(sc, "a"), apisPrefix(sc)) || inside(apiKey(scope{sc.account, "us-east-10"}, "a"), apisPrefix(sc)) || inside(indexKey("a"), apisPrefix(sc)) {
		t.Error("APIs")
	}
}

package blob_test

import (
	"encoding/json"
	"strings"
	"testing"

	"brume/internal/blob"
)

func TestRef(t *testing.T) {
	r := blob.Ref{SHA256: [32]byte{1, 0xab}, Size: 12345, ID: [8]byte{7: 9}}
	want := "01ab" + strings.Repeat("00", 30) + "-12345-0000000000000009"
	if r.String() != want {
		t.Errorf("String is %q, want %q", r, want)
	}
	text, err := json.Marshal(map[string]blob.Ref{"ref": r})
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]blob.Ref
	if err := json.Unmarshal(text, &back); err != nil || back["ref"] != r {
		t.Errorf("%s came back as %v, %v", text, back, err)
	}
	if r.IsZero() || !(blob.Ref{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func FuzzParseRef(f *testing.F) {
	good := blob.Ref{Size: 1}.String()
	for _, s := range []string{
		good, "", "-", "--", good + " ", strings.ToUpper(blob.Ref{SHA256: [32]byte{0xab}}.String()),
		strings.Replace(good, "-1-", "-01-", 1), strings.Replace(good, "-1-", "-+1-", 1), strings.Replace(good, "-1-", "--1-", 1),
		strings.Replace(good, "-1-", "-99999999999999999999-", 1), "../" + good, good[1:],
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := blob.ParseRef(s)
		if err != nil {
			if !r.IsZero() {
				t.Error("a reference and an error")
			}
			return
		}
		if r.String() != s || r.Size < 0 {
			t.Errorf("%q was read as %q", s, r)
		}
	})
}

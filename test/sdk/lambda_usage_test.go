package sdk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// brume usage prints what functions used and what it would have cost; nobody but the root of the account may know.
func TestLambdaUsage(t *testing.T) {
	cfg := as(brume.AccessKeyID, brume.SecretAccessKey, "")
	account := *ok(sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil))(t).Account
	w := &world{t, account, cfg, lambda.NewFromConfig(cfg), newRole(t, cfg, "metered", lambdaService, "")}
	w.function("metered", "def handler(e, c): return 1", func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(1024) })
	for range 5 {
		w.invoke("metered", "{}")
	}
	var usage struct {
		Account, Prices string
		Lambda          []struct {
			Function, Architecture string
			Requests               int64
			GBSeconds, Charge      float64
		}
		Total float64
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out := ok(exec.CommandContext(t.Context(), brume.Binary(), "usage", "--json", "--data-dir", brume.DataDir()).Output())(t)
		if err := json.Unmarshal(out, &usage); err != nil {
			t.Fatal(err)
		}
		if len(usage.Lambda) == 1 && usage.Lambda[0].Requests == 5 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s", out)
		}
	}
	f := usage.Lambda[0]
	rate := map[string]float64{"x86_64": 0.0000166667, "arm64": 0.0000133334}[f.Architecture]
	if want := 5*0.20/1e6 + f.GBSeconds*rate; usage.Account != account || f.Function != "metered" || f.GBSeconds < 0.005 || math.Abs(f.Charge-want) > 1e-12 || math.Abs(usage.Total-want) > 1e-12 {
		t.Errorf("%+v, want a charge of %v", usage, want)
	}
	table := string(ok(exec.CommandContext(t.Context(), brume.Binary(), "usage", "--data-dir", brume.DataDir()).Output())(t))
	if !strings.Contains(table, "metered") || !strings.Contains(table, "TOTAL") || !strings.Contains(table, usage.Prices) {
		t.Error(table)
	}

	get := func(cfg *aws.Config) int {
		req := ok(http.NewRequestWithContext(t.Context(), http.MethodGet, brume.Endpoint+"/_brume/usage?from=2026-01-01&to=2026-01-02", nil))(t)
		if cfg != nil {
			sum := sha256.Sum256(nil)
			if err := v4.NewSigner().SignHTTP(t.Context(), ok(cfg.Credentials.Retrieve(t.Context()))(t), req, hex.EncodeToString(sum[:]), "brume", region, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		resp, _ := send(t, req)
		return resp.StatusCode
	}
	_, admin := newUser(t, cfg, "not-root", allow("*", "*"))
	same(t, "root", get(&cfg), 200)
	same(t, "a user, whatever she may", get(&admin), 403)
	same(t, "nobody", get(nil), 403)
}

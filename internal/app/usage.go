package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"brume/internal/call"
	"brume/internal/prices"
	"brume/internal/service/lambda"
	"brume/internal/wire/sigv4"
)

const (
	// usagePath is where the root of an account reads its meters.
	usagePath    = "/_brume/usage"
	usageService = "brume"
)

// Usage is what an account used, and what AWS would have charged for it at list price.
type Usage struct {
	Account  string          `json:"account"`
	From     string          `json:"from"` // days in UTC, both included
	To       string          `json:"to"`
	Prices   string          `json:"prices"` // their date
	Currency string          `json:"currency"`
	Lambda   []FunctionUsage `json:"lambda"`
	Total    float64         `json:"total"`
}

// FunctionUsage is what a function used in a month.
type FunctionUsage struct {
	Region       string `json:"region"`
	Month        string `json:"month"`
	Function     string `json:"function"`
	Architecture string `json:"architecture"`
	Requests     int64  `json:"requests"`
	// GBSeconds is what ran; ProvisionedGBSeconds is what was kept ready for that.
	GBSeconds            float64 `json:"gbSeconds"`
	ProvisionedGBSeconds float64 `json:"provisionedGBSeconds"`
	Charge               float64 `json:"charge"`
}

// usageHandler answers for usagePath, and next for everything else.
func usageHandler(meter *lambda.Meter, credentials sigv4.Credentials, log *slog.Logger, next http.Handler) http.Handler {
	return rootHandler(usagePath, credentials, log, next, func(ctx context.Context, account string, q url.Values) (any, error) {
		return readUsage(ctx, meter, account, q.Get("from"), q.Get("to"))
	})
}

// rootHandler answers requests for path by the root of an account with what read returns for that account, and has next answer
// all others. Requests are signed for usageService.
func rootHandler(path string, credentials sigv4.Credentials, log *slog.Logger, next http.Handler,
	read func(ctx context.Context, account string, query url.Values) (any, error)) http.Handler {
	verifier := sigv4.NewVerifier(credentials)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			next.ServeHTTP(w, r)
			return
		}
		answer, err := func() (any, error) {
			if r.Method != http.MethodGet {
				return nil, errUsageMethod
			}
			result, err := verifier.Verify(r.Context(), r, nil, usageService, time.Now())
			if err != nil {
				return nil, err
			}
			if result.Principal.Type != call.Account {
				return nil, errNotRoot
			}
			return read(r.Context(), result.Principal.Account, r.URL.Query())
		}()
		var refused *sigv4.Error
		switch {
		case err == nil:
			w.Header().Set("Content-Type", "application/json")
			// A client that went away is nobody's error.
			_ = json.NewEncoder(w).Encode(answer)
		case err == errUsageMethod:
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, err.Error(), http.StatusMethodNotAllowed)
		case err == errNotRoot, errors.As(err, &refused):
			http.Error(w, errNotRoot.Error(), http.StatusForbidden)
		case err == errUsageDays, err == errMetricsFrom:
			http.Error(w, err.Error(), http.StatusBadRequest)
		default:
			log.Error("reading the meters", "error", err.Error())
			http.Error(w, "the meters cannot be read: the server's log says why", http.StatusInternalServerError)
		}
	})
}

var (
	errUsageMethod = errors.New("use GET")
	errNotRoot     = errors.New("only the root of an account may read its meters")
	errUsageDays   = errors.New("from and to are days such as 2026-01-31, in this order")
)

func readUsage(ctx context.Context, meter *lambda.Meter, account, from, to string) (*Usage, error) {
	first, err1 := time.Parse(time.DateOnly, from)
	last, err2 := time.Parse(time.DateOnly, to)
	if err1 != nil || err2 != nil || last.Before(first) {
		return nil, errUsageDays
	}
	list, err := prices.Load()
	if err != nil {
		return nil, err
	}
	readings, err := meter.Read(ctx, account, from, to)
	if err != nil {
		return nil, err
	}
	u := &Usage{Account: account, From: from, To: to, Prices: list.Date, Currency: list.Currency, Lambda: charge(&list.Lambda, readings)}
	for _, f := range u.Lambda {
		u.Total += f.Charge
	}
	return u, nil
}

// charge sums readings up by month. The tiers of a month count all functions of a region and an architecture together; each
// function bears its share of that.
func charge(list *prices.Lambda, readings []lambda.MeterReading) []FunctionUsage {
	type tier struct{ region, month, architecture string }
	duration := map[tier]float64{}
	functions := map[FunctionUsage]lambda.Usage{} // by what names them
	for _, r := range readings {
		name := FunctionUsage{Region: r.Region, Month: r.Day[:len("2006-01")], Function: r.Function, Architecture: r.Architecture}
		u := functions[name]
		u.Add(r.Usage)
		functions[name] = u
		duration[tier{name.Region, name.Month, name.Architecture}] += gbSeconds(r.MemoryMBMillis)
	}
	out := []FunctionUsage{}
	for f, u := range functions {
		onDemand := gbSeconds(u.MemoryMBMillis)
		f.Requests, f.GBSeconds = u.Requests, onDemand+gbSeconds(u.ProvisionedRunMBMillis)
		f.ProvisionedGBSeconds = gbSeconds(u.ProvisionedMBMillis)
		f.Charge = float64(u.Requests) / 1e6 * list.PerMillionRequests
		f.Charge += gbSeconds(u.StorageMBMillis) * list.EphemeralStorage
		f.Charge += f.ProvisionedGBSeconds * list.ProvisionedPerGBSecond[f.Architecture]
		f.Charge += gbSeconds(u.ProvisionedRunMBMillis) * list.ProvisionedRunPerGBSecond[f.Architecture]
		if all := duration[tier{f.Region, f.Month, f.Architecture}]; all > 0 {
			f.Charge += list.Duration(f.Architecture, all) * onDemand / all
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b FunctionUsage) int {
		return strings.Compare(a.Month+"\x00"+a.Region+"\x00"+a.Function+"\x00"+a.Architecture, b.Month+"\x00"+b.Region+"\x00"+b.Function+"\x00"+b.Architecture)
	})
	return out
}

func gbSeconds(mbMillis int64) float64 { return float64(mbMillis) / 1024 / 1000 }

// ReadUsage asks the server on dataDir for the usage of the account whose root key is there.
func ReadUsage(ctx context.Context, dataDir, from, to string) (*Usage, error) {
	c, err := openClient(dataDir)
	if err != nil {
		return nil, err
	}
	body, err := c.get(ctx, dataDir, usagePath+"?from="+from+"&to="+to, usageService)
	if err != nil {
		return nil, err
	}
	u := &Usage{}
	return u, json.Unmarshal(body, u)
}

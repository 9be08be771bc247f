package customdomain

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"brume/internal/kv"
	"brume/internal/kv/memkv"
)

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-mappings.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html
func TestLocate(t *testing.T) {
	store := memkv.New()
	put := func(name string, list ...Mapping) {
		row := &Row{Account: "1", Region: "r", Name: name}
		for _, m := range list {
			row.Set(len(row.Mappings), m)
		}
		if err := store.Update(t.Context(), func(tx kv.Tx) error { return Put(tx, row) }); err != nil {
			t.Fatal(err)
		}
	}
	put("api.example.com", Mapping{"a", "", "api1", "$default"}, Mapping{"b", "orders", "api2", "prod"}, Mapping{"c", "orders/v1/items", "api3", "prod"},
		Mapping{"d", "orders/v2/items", "api4", "prod"}, Mapping{"e", "orders/v2/items/categories", "api5", "prod"})
	put("*.wild.example.com", Mapping{"f", "v1", "api6", ""})
	n := &Names{Store: store, Log: slog.New(slog.DiscardHandler), Own: "Brume.wild.example.com"}
	for _, tt := range []struct{ host, path, want string }{
		{"api.example.com:4566", "/orders", "api2 prod  orders /orders"},
		{"API.Example.com.", "/orders/v1/items", "api3 prod  orders/v1/items /orders/v1/items"},
		{"api.example.com", "/orders/v2/items", "api4 prod  orders/v2/items /orders/v2/items"},
		{"api.example.com", "/orders/v1/items/123", "api3 prod /123 orders/v1/items /orders/v1/items"},
		{"api.example.com", "/orders/v2/items/categories/5", "api5 prod /5 orders/v2/items/categories /orders/v2/items/categories"},
		{"api.example.com", "/customers/a%2Fb", "api1 $default /customers/a%2Fb  "},
		{"api.example.com", "/ordersandmore", "api1 $default /ordersandmore  "},
		{"api.example.com", "/", "api1 $default /  "},
		{"any.wild.example.com", "/v1/dev/pets", "api6 dev /pets v1 /v1/dev"},
		{"any.wild.example.com", "/v2/dev", "  /v2/dev  "}, // ours, but it leads nowhere
		{"sts.wild.example.com", "/v1/dev", "-"},           // not even by a wildcard
		{"example.com", "/", "-"},
		{"brume.wild.example.com", "/v1/dev", "-"}, // Brume's own, whoever has the names around it
		{"a.b.wild.example.com", "/v1/dev", "-"},
		{"localhost:4566", "/orders", "-"},
		{"127.0.0.1:4566", "/orders", "-"},
		{"[::1]:4566", "/orders", "-"},
		{"brume", "/orders", "-"},
	} {
		got := "-"
		if to, ok := n.Locate(context.Background(), tt.host, tt.path); ok {
			got = strings.Join([]string{to.API, to.Stage, to.Path, to.How.BasePath, to.How.Prefix}, " ")
		}
		if got != tt.want {
			t.Errorf("%s%s leads to %q, not %q", tt.host, tt.path, got, tt.want)
		}
	}
	err := store.View(t.Context(), func(r kv.Reader) error {
		for _, tt := range []struct{ account, api, want string }{{"1", "api4", "api.example.com"}, {"1", "api9", ""}, {"2", "api4", ""}} {
			if name, err := LeadsTo(r, tt.account, "r", tt.api); err != nil || name != tt.want {
				t.Errorf("%+v: %q %v", tt, name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"api.example.com": true, "*.example.com": true, "": false, "nodot": false, "a..b": false, "-a.example.com": false, "exa mple.com": false, "a.*.example.com": false,
		"api.localhost": true, "dynamodb.us-east-1.amazonaws.com": false, "x.amazonaws.com": false, "amazonaws.com": false, "*.amazonaws.com": false, "x.lambda-url.us-east-1.on.aws": false,
		"sts.example.com": false, "localhost.localstack.cloud": false, "host.docker.internal": false, "host.containers.internal": false, "gateway.docker.internal": false, "myamazonaws.com": true, "my.sts.example.com": true,
		strings.Repeat("a", 63) + ".com": true, strings.Repeat("a", 64) + ".com": false, strings.Repeat("a.", 127): false,
	} {
		if ValidName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// No account takes a part of what another's wildcard stands for, nor a wildcard around another's name: requests would go
// elsewhere than they went.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-custom-domains.html#wildcard-custom-domain-names
func TestTaken(t *testing.T) {
	store := memkv.New()
	err := store.Update(t.Context(), func(tx kv.Tx) error {
		return errors.Join(Put(tx, &Row{Account: "1", Name: "a.example.com"}), Put(tx, &Row{Account: "1", Name: "*.wild.com"}), Put(tx, &Row{Account: "1", Name: "x.y.deep.com"}))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		account, name string
		want          bool
	}{
		{"1", "a.example.com", true}, {"2", "a.example.com", true}, {"2", "A.example.com.", true}, {"1", "*.wild.com", true},
		{"2", "*.example.com", true}, {"1", "*.example.com", false}, {"2", "b.example.com", false},
		{"2", "a.wild.com", true}, {"1", "a.wild.com", false}, {"2", "a.b.wild.com", false}, {"2", "wild.com", false},
		{"2", "*.deep.com", false}, {"2", "*.y.deep.com", true}, {"2", "*.xample.com", false},
	} {
		err := store.View(t.Context(), func(r kv.Reader) error {
			got, err := Taken(r, tt.account, tt.name)
			if got != tt.want {
				t.Errorf("%+v: %v", tt, got)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

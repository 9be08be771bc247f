package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"brume/internal/postman"
)

// An API is a stage of a deployed API, or an API without a stage.
type API struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Kind  string `json:"kind"` // REST, HTTP or WEBSOCKET
	Stage string `json:"stage,omitempty"`
	URL   string `json:"url,omitempty"` // where it is invoked
}

// invokeURL is where a stage is invoked, by the path form, which needs no name to be resolved.
func (a *API) invokeURL(endpoint string) string {
	if a.Kind == "WEBSOCKET" {
		endpoint = "ws" + strings.TrimPrefix(endpoint, "http")
	}
	if a.Kind == "REST" {
		return endpoint + "/restapis/" + a.ID + "/" + a.Stage + "/_user_request_"
	}
	if a.Stage == "$default" {
		return endpoint + "/_aws/execute-api/" + a.ID
	}
	return endpoint + "/_aws/execute-api/" + a.ID + "/" + a.Stage
}

// apiClient asks a server for its APIs, as the root of the account whose key is in a data directory.
type apiClient struct {
	client
	dataDir string
}

func openAPIClient(dataDir string) (*apiClient, error) {
	c, err := openClient(dataDir)
	return &apiClient{c, dataDir}, err
}

func (c *apiClient) get(ctx context.Context, path string, into any) error {
	data, err := c.client.get(ctx, c.dataDir, path, "apigateway")
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// each calls do with the pages of a list of REST or HTTP APIs: whose items' name, and whose token's, tell them apart.
func pages[T any](ctx context.Context, c *apiClient, path, token string) (all []T, err error) {
	next := ""
	for {
		var page struct {
			Item      []T
			Items     []T
			Position  string
			NextToken string
		}
		at := path
		if next != "" {
			at += "?" + token + "=" + url.QueryEscape(next)
		}
		if err := c.get(ctx, at, &page); err != nil {
			return nil, err
		}
		all = append(append(all, page.Item...), page.Items...)
		if next = page.Position + page.NextToken; next == "" {
			return all, nil
		}
	}
}

// list lists the stages of all APIs.
func (c *apiClient) list(ctx context.Context) (all []API, err error) {
	add := func(id, name, kind string, stages []string) {
		if len(stages) == 0 {
			all = append(all, API{ID: id, Name: name, Kind: kind})
		}
		for _, stage := range stages {
			a := API{ID: id, Name: name, Kind: kind, Stage: stage}
			a.URL = a.invokeURL(c.Endpoint)
			all = append(all, a)
		}
	}
	type named struct{ ID, APIID, Name, ProtocolType, StageName string }
	rest, err := pages[named](ctx, c, "/restapis", "position")
	if err != nil {
		return nil, err
	}
	for _, a := range rest {
		stages, err := pages[named](ctx, c, "/restapis/"+a.ID+"/stages", "position")
		if err != nil {
			return nil, err
		}
		names := make([]string, len(stages))
		for i := range stages {
			names[i] = stages[i].StageName
		}
		add(a.ID, a.Name, "REST", names)
	}
	http, err := pages[named](ctx, c, "/v2/apis", "nextToken")
	if err != nil {
		return nil, err
	}
	for _, a := range http {
		stages, err := pages[named](ctx, c, "/v2/apis/"+a.APIID+"/stages", "nextToken")
		if err != nil {
			return nil, err
		}
		names := make([]string, len(stages))
		for i := range stages {
			names[i] = stages[i].StageName
		}
		add(a.APIID, a.Name, a.ProtocolType, names)
	}
	slices.SortFunc(all, func(a, b API) int { return strings.Compare(a.Name+"\x00"+a.ID+a.Stage, b.Name+"\x00"+b.ID+b.Stage) })
	return all, nil
}

// ListAPIs asks the server on dataDir for the APIs of the account whose root key is there, in its default region.
func ListAPIs(ctx context.Context, dataDir string) ([]API, error) {
	c, err := openAPIClient(dataDir)
	if err != nil {
		return nil, err
	}
	return c.list(ctx)
}

// ExportAPI writes what a stage of an API serves, named by its id or, if no other has it, its name: as an OpenAPI 3.0
// document in JSON, or as a collection for Postman.
func ExportAPI(ctx context.Context, dataDir, api, stage string, toPostman bool) ([]byte, error) {
	c, err := openAPIClient(dataDir)
	if err != nil {
		return nil, err
	}
	all, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(a API) bool { return a.Stage != stage || a.ID != api && a.Name != api })
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("no API %s with a stage %s: `brume apis` lists them", api, stage)
	case len(all) > 1:
		return nil, fmt.Errorf("%d APIs are named %s: say which one by its id, as `brume apis` lists it", len(all), api)
	}
	a := &all[0]
	path := "/restapis/" + a.ID + "/stages/" + url.PathEscape(stage) + "/exports/oas30?extensions=apigateway"
	if a.Kind == "HTTP" {
		path = "/v2/apis/" + a.ID + "/exports/OAS30?outputType=JSON&stageName=" + url.QueryEscape(stage)
	}
	document, err := c.client.get(ctx, dataDir, path, "apigateway")
	if err != nil || !toPostman {
		return document, err
	}
	return postman.Collection(document, a.URL, c.Region)
}

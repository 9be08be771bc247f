package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agtypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

// gatewayRate is below what an account may send through API Gateway: 10,000 requests a second.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
const gatewayRate = 8000

// gateway measures API Gateway alone: a method that asks nobody, by a key that its plan lets through and by one that has
// nothing left.
func (b *bench) gateway(ctx context.Context) error {
	api, err := b.createAPI(ctx, "bench-mock", &apigateway.PutIntegrationInput{Type: agtypes.IntegrationTypeMock,
		RequestTemplates: map[string]string{"application/json": `{"statusCode": 200}`}})
	if err != nil {
		return err
	}
	plenty, err := b.keyed(ctx, api, "bench-plenty", &agtypes.ThrottleSettings{RateLimit: gatewayRate, BurstLimit: gatewayRate})
	if err != nil {
		return err
	}
	none, err := b.keyed(ctx, api, "bench-none", &agtypes.ThrottleSettings{RateLimit: 1, BurstLimit: 1})
	if err != nil {
		return err
	}
	if err := b.measure("API Gateway, key, plan, throttle, MOCK", gatewayRate, [][]byte{plenty}); err != nil {
		return err
	}
	if err := b.load("API Gateway, key without tokens: 429", b.server.PID(), 0,
		b.raw(b.address(), [][]byte{none}, http.StatusTooManyRequests)); err != nil {
		return err
	}
	few, err := b.resources(ctx, 10)
	if err != nil {
		return err
	}
	many, err := b.resources(ctx, 1000)
	if err != nil {
		return err
	}
	_, _, err = b.compare(gatewayRate, "API Gateway, MOCK, 10 resources", "API Gateway, MOCK, 1,000 resources", few, many)
	return err
}

// resources makes an API of n resources, a third of them with a parameter, and returns a request to each.
func (b *bench) resources(ctx context.Context, n int) (requests [][]byte, err error) {
	client := apigateway.NewFromConfig(b.cfg)
	paths := map[string]any{}
	for i := range n {
		path := fmt.Sprintf("/group%d/resource%d", i%10, i)
		sent := path
		if i%3 == 0 {
			path, sent = path+"/{id}", path+"/17"
		}
		paths[path] = map[string]any{"get": map[string]any{
			"responses": map[string]any{"200": map[string]any{"description": "ok"}},
			"x-amazon-apigateway-integration": map[string]any{"type": "mock", "requestTemplates": map[string]any{"application/json": `{"statusCode": 200}`},
				"responses": map[string]any{"default": map[string]any{"statusCode": "200", "responseTemplates": map[string]any{"application/json": `{"ok": true}`}}}},
		}}
		requests = append(requests, []byte(sent))
	}
	document, err := json.Marshal(map[string]any{"swagger": "2.0", "info": map[string]any{"title": fmt.Sprintf("bench-%d", n), "version": "1"}, "paths": paths})
	if err != nil {
		return nil, err
	}
	api, err := client.ImportRestApi(ctx, &apigateway.ImportRestApiInput{Body: document})
	if err != nil {
		return nil, err
	}
	if _, err := client.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("b")}); err != nil {
		return nil, err
	}
	for i, path := range requests {
		req, err := http.NewRequest(http.MethodGet, b.server.Endpoint+"/restapis/"+*api.Id+"/b/_user_request_"+string(path), nil)
		if err != nil {
			return nil, err
		}
		requests[i] = rawRequest(req, nil)
	}
	return requests, nil
}

// createAPI makes an API whose POST / needs a key, and deploys it as the stage b.
func (b *bench) createAPI(ctx context.Context, name string, integration *apigateway.PutIntegrationInput) (id *string, err error) {
	client := apigateway.NewFromConfig(b.cfg)
	api, err := client.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: &name})
	if err != nil {
		return nil, err
	}
	method := aws.String(http.MethodPost)
	if _, err := client.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: api.Id, ResourceId: api.RootResourceId,
		HttpMethod: method, AuthorizationType: aws.String("NONE"), ApiKeyRequired: true}); err != nil {
		return nil, err
	}
	integration.RestApiId, integration.ResourceId, integration.HttpMethod = api.Id, api.RootResourceId, method
	if _, err := client.PutIntegration(ctx, integration); err != nil {
		return nil, err
	}
	if _, err := client.PutMethodResponse(ctx, &apigateway.PutMethodResponseInput{RestApiId: api.Id, ResourceId: api.RootResourceId,
		HttpMethod: method, StatusCode: aws.String("200")}); err != nil {
		return nil, err
	}
	if _, err := client.PutIntegrationResponse(ctx, &apigateway.PutIntegrationResponseInput{RestApiId: api.Id, ResourceId: api.RootResourceId,
		HttpMethod: method, StatusCode: aws.String("200"), ResponseTemplates: map[string]string{"application/json": `{"ok": true}`}}); err != nil {
		return nil, err
	}
	_, err = client.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("b")})
	return api.Id, err
}

// keyed returns a request to an API made by createAPI with a key of a usage plan of its own.
func (b *bench) keyed(ctx context.Context, api *string, name string, throttle *agtypes.ThrottleSettings) ([]byte, error) {
	client := apigateway.NewFromConfig(b.cfg)
	plan, err := client.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{
		Name: &name, ApiStages: []agtypes.ApiStage{{ApiId: api, Stage: aws.String("b")}}, Throttle: throttle,
	})
	if err != nil {
		return nil, err
	}
	key, err := client.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: &name, Enabled: true})
	if err != nil {
		return nil, err
	}
	if _, err := client.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{
		UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY"),
	}); err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, b.server.Endpoint+"/restapis/"+*api+"/b/_user_request_/", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("x-api-key", *key.Value)
	return rawRequest(req, []byte(`{}`)), nil
}

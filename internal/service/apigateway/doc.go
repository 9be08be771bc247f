// Package apigateway is Amazon API Gateway: REST APIs, from their resources to the requests that they answer.
//
// The control plane is api.Service: APIs, resources, methods, integrations, deployments, stages, API keys and usage plans.
// The data plane is Service.Invoke, which knows nothing of HTTP but what stands in a Request and a Response.
//
// It promises:
//
//   - A deployment is a snapshot. What is edited afterwards changes no answer until it is deployed again; what is set on
//     a stage, a key or a plan counts from the next request on.
//   - A request costs one read transaction with two or three small reads. Compiled stages and resolved keys are kept in
//     memory and are used only while the store says that nothing changed.
//   - API keys are found by the hash of their value and compared in constant time. A key lets a request in only if it is
//     enabled and in a usage plan with the stage.
//   - Throttles are token buckets in memory, exact ones; after a restart they are full. Quotas and usage are counted in
//     memory and written once a second: a crash forgets at most the last second, a shutdown nothing.
//   - What is configured but not supported (private endpoints, VPC links and so on) is refused when
//     it is set. Nothing that is meant to keep requests out is silently ignored.
//   - Templates, payloads and patterns of users run in bounded time and memory.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-rest-api.html
package apigateway

// Package apigatewayv2 is the HTTP APIs of API Gateway: their routes, integrations, authorizers and stages, and the requests
// to what is deployed of them.
//
// It promises:
//
//   - A deployment is a snapshot of an API. What a stage serves changes only when the stage is deployed to, which stages
//     with auto-deploy are in the transaction of every change.
//   - Requests see a change as soon as the call that made it has returned.
//   - Nothing passes an authorizer that is not understood, and no answer of a function breaks out of its response.
//
// WebSocket APIs are not there.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html
package apigatewayv2

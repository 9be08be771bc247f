// Package apigatewayv2 is the HTTP and WebSocket APIs of API Gateway: their routes, integrations, authorizers and stages, the
// requests and connections to what is deployed of them, and the API by which backends reach the clients of connections.
//
// It promises:
//
//   - A deployment is a snapshot of an API. What a stage serves changes only when the stage is deployed to, which stages
//     with auto-deploy are in the transaction of every change.
//   - Requests see a change as soon as the call that made it has returned.
//   - Nothing passes an authorizer that is not understood, and no answer of a function breaks out of its response.
//   - A connection's messages go by what is deployed when they come. It ends as AWS has it: with its stage or API, after ten
//     minutes of silence, after two hours. Whatever it has begun is waited for when Brume stops, but not for long.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api.html
package apigatewayv2

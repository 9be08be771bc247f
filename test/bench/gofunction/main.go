// Command gofunction is the function whose cold start bench measures: stock aws-lambda-go and nothing else.
package main

import "github.com/aws/aws-lambda-go/lambda"

func main() { lambda.Start(func() (string, error) { return "ok", nil }) }

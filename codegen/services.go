package main

// A target is a service that we generate.
type target struct {
	Name  string // of the package, and Brume's name of the service
	Model string // below models/apis
	IAM   string // the prefix of its IAM actions
	// Global services ignore the caller's region.
	Global bool
	// ByHand maps shapes whose Go type is written by hand to that type. For a type T in package p there are the
	// functions p.EncodeT, p.DecodeT, p.EncodeTMap and p.DecodeTMap.
	ByHand map[string]byHand
}

type byHand struct {
	Import string // path of the package, empty for the generated package itself
	Type   string
}

// targets is the one list of services. A new service starts with a line here.
var targets = []target{
	{Name: "apigateway", Model: "apigateway/2015-07-09", IAM: "apigateway"},
	{Name: "apigatewaymanagementapi", Model: "apigatewaymanagementapi/2018-11-29", IAM: "execute-api"},
	{Name: "apigatewayv2", Model: "apigatewayv2/2018-11-29", IAM: "apigateway"},
	{Name: "cloudtrail", Model: "cloudtrail/2013-11-01", IAM: "cloudtrail"},
	{Name: "dynamodb", Model: "dynamodb/2012-08-10", IAM: "dynamodb",
		ByHand: map[string]byHand{"AttributeValue": {Type: "AttributeValue"}}},
	{Name: "dynamodbstreams", Model: "streams.dynamodb/2012-08-10", IAM: "dynamodb",
		ByHand: map[string]byHand{"AttributeValue": {Import: "brume/internal/api/dynamodb", Type: "AttributeValue"}}},
	{Name: "iam", Model: "iam/2010-05-08", IAM: "iam", Global: true},
	{Name: "lambda", Model: "lambda/2015-03-31", IAM: "lambda"},
	{Name: "logs", Model: "logs/2014-03-28", IAM: "logs"},
	{Name: "sts", Model: "sts/2011-06-15", IAM: "sts"},
}

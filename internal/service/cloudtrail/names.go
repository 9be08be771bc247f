package cloudtrail

import (
	"strings"

	"brume/internal/awserr"
	"brume/internal/schema"
)

// dataEvents are the operations of the data plane, which CloudTrail's event history does not hold. This list alone
// decides which calls leave a record.
//
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-data-events-with-cloudtrail.html
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html
// https://docs.aws.amazon.com/lambda/latest/dg/logging-using-cloudtrail.html
var dataEvents = map[string]string{
	"apigatewaymanagementapi": "DeleteConnection GetConnection PostToConnection",
	"dynamodb": "BatchExecuteStatement BatchGetItem BatchWriteItem DeleteItem ExecuteStatement ExecuteTransaction GetItem " +
		"PutItem Query Scan TransactGetItems TransactWriteItems UpdateItem",
	"dynamodbstreams": "GetRecords GetShardIterator",
	"lambda":          "Invoke InvokeAsync InvokeWithResponseStream",
	"logs": "FilterLogEvents GetLogEvents GetLogGroupFields GetLogObject GetLogRecord GetQueryResults PutLogEvents StartLiveTail " +
		"StartQuery",
}

// Records reports whether calls of an operation leave records: those of the control plane do.
func (s *Service) Records(svc *schema.Service, op *schema.Operation) bool {
	return !contains(dataEvents[svc.Name], op.Name)
}

// contains looks for a word in a list with spaces between.
func contains(list, word string) bool {
	for w := range strings.SplitSeq(list, " ") {
		if w == word {
			return true
		}
	}
	return false
}

// source is the name by which CloudTrail knows a service. Streams count as DynamoDB.
func source(svc *schema.Service) string { return svc.IAMPrefix + ".amazonaws.com" }

// Operations of Lambda carry the version of their API in CloudTrail, if that is one of the older ones, and some a
// second version.
// https://docs.aws.amazon.com/lambda/latest/dg/logging-using-cloudtrail.html
const (
	datedVersions = "2014-11-13 2015-03-31 2016-08-19 2017-03-31 2017-10-31 2018-10-31"
	secondVersion = "AddPermission GetFunction GetFunctionConfiguration GetPolicy RemovePermission TagResource UntagResource " +
		"UpdateFunctionCode UpdateFunctionConfiguration"
	withoutVersion = "AddLayerVersionPermission GetLayerVersionPolicy"
)

// nameOf is the name of an operation's events.
func nameOf(svc *schema.Service, op *schema.Operation) string {
	if svc.Name != "lambda" {
		return op.Name
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(op.Path, "/"), "/")
	if !contains(datedVersions, version) || contains(withoutVersion, op.Name) {
		return op.Name
	}
	name := op.Name + strings.ReplaceAll(version, "-", "")
	if contains(secondVersion, op.Name) {
		name += "v2"
	}
	return name
}

// Operations that change nothing are told by their verbs, with these exceptions.
var (
	readingVerbs = []string{"Describe", "Get", "List", "Lookup", "Simulate", "Decode", "Search", "Test", "Check", "Estimate"}
	reading      = map[string]string{
		"sts":          "AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity AssumeRoot",
		"apigatewayv2": "ExportApi",
		"iam":          "GenerateCredentialReport GenerateServiceLastAccessedDetails GenerateOrganizationsAccessReport",
	}
	writing = map[string]string{"apigateway": "TestInvokeAuthorizer TestInvokeMethod"}
)

func isReadOnly(svc *schema.Service, op *schema.Operation) bool {
	if contains(writing[svc.Name], op.Name) {
		return false
	}
	for _, verb := range readingVerbs {
		if strings.HasPrefix(op.Name, verb) {
			return true
		}
	}
	return contains(reading[svc.Name], op.Name)
}

// showsResponse says that an operation's response is recorded: what it changed, or the credentials that it gave.
func showsResponse(svc *schema.Service, op *schema.Operation) bool {
	return !isReadOnly(svc, op) || contains(reading["sts"]+" GetSessionToken GetFederationToken", op.Name)
}

// codeOf is the error code that stands in a record. The query protocol leaves out what IAM's names of exceptions end in;
// CloudTrail does not: "NoSuchEntityException".
func codeOf(svc *schema.Service, err awserr.Error) string {
	if shape, ok := err.(interface{ ShapeName() string }); ok && svc.Protocol == schema.AWSQuery {
		return shape.ShapeName()
	}
	return err.ErrorCode()
}

// A Resource is what a call was about.
type Resource struct {
	Type, Name string
	ARN        string `json:",omitempty"`
}

// resourceTypes names what ARNs stand for, by what their resource part begins with.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/view-cloudtrail-events-supported-resource-types.html
var resourceTypes = []struct {
	service, prefix, kind string
	// whole says that the resource goes by its ARN.
	whole bool
}{
	{"iam", "user/", "AWS::IAM::User", false},
	{"iam", "role/", "AWS::IAM::Role", false},
	{"iam", "group/", "AWS::IAM::Group", false},
	{"iam", "policy/", "AWS::IAM::Policy", true},
	{"iam", "instance-profile/", "AWS::IAM::InstanceProfile", false},
	{"iam", "mfa/", "AWS::IAM::MfaDevice", true},
	{"iam", "saml-provider/", "AWS::IAM::SAMLProvider", true},
	{"iam", "oidc-provider/", "AWS::IAM::OIDCProvider", true},
	{"dynamodb", "table/", "AWS::DynamoDB::Table", false},
	{"lambda", "function:", "AWS::Lambda::Function", false},
	{"lambda", "layer:", "AWS::Lambda::LayerVersion", false},
	{"lambda", "event-source-mapping:", "AWS::Lambda::EventSourceMapping", false},
	{"logs", "log-group:", "AWS::Logs::LogGroup", false},
	{"apigateway", "/restapis/", "AWS::ApiGateway::RestApi", false},
	{"apigateway", "/apikeys/", "AWS::ApiGateway::ApiKey", false},
	{"apigateway", "/usageplans/", "AWS::ApiGateway::UsagePlan", false},
	{"apigateway", "/domainnames/", "AWS::ApiGateway::DomainName", false},
	{"apigateway", "/apis/", "AWS::ApiGatewayV2::Api", false},
}

// resourceOf tells what an ARN stands for; false for none or for more than one resource.
func resourceOf(arn string) (Resource, bool) {
	part := strings.SplitN(arn, ":", 6)
	if len(part) < 6 {
		return Resource{}, false
	}
	for _, t := range resourceTypes {
		name, ok := strings.CutPrefix(part[5], t.prefix)
		if !ok || t.service != part[2] {
			continue
		}
		switch {
		case t.whole:
			name = arn
		case t.service == "iam": // behind the path
			name = name[strings.LastIndexByte(name, '/')+1:]
		case t.service == "logs": // names of groups contain slashes
			name, _, _ = strings.Cut(name, ":")
		default:
			if i := strings.IndexAny(name, "/:"); i >= 0 {
				name = name[:i]
			}
		}
		if name == "" || strings.ContainsAny(name, "*?") {
			return Resource{}, false
		}
		return Resource{Type: t.kind, Name: name, ARN: arn}, true
	}
	return Resource{}, false
}

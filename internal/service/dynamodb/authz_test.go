package dynamodb

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	api "brume/internal/api/dynamodb"
	streamsapi "brume/internal/api/dynamodbstreams"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/policy"
	"brume/internal/schema"
)

// authzCases are inputs and the checks they need, one at least for each operation that is implemented.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
var authzCases = []struct {
	operation string
	in        schema.Struct
	want      string
}{
	{"ListTables", &api.ListTablesInput{}, "dynamodb:ListTables *"},
	{"DescribeLimits", &api.DescribeLimitsInput{}, "dynamodb:DescribeLimits *"},
	{"DescribeEndpoints", &api.DescribeEndpointsInput{}, "dynamodb:DescribeEndpoints *"},
	{"CreateTable", &api.CreateTableInput{TableName: new("new")}, "dynamodb:CreateTable table/new"},
	{
		"CreateTable", &api.CreateTableInput{TableName: new("new"), Tags: []api.Tag{{Key: new("k"), Value: new("v")}}},
		"dynamodb:CreateTable table/new aws:RequestTag/k=[v] aws:TagKeys=[k]; dynamodb:TagResource table/new aws:RequestTag/k=[v] aws:TagKeys=[k]",
	},
	{"DescribeTable", &api.DescribeTableInput{TableName: new("arn:aws:dynamodb:us-east-1:000000000000:table/table")}, "dynamodb:DescribeTable table/table"},
	{"UpdateTable", &api.UpdateTableInput{TableName: new("table")}, "dynamodb:UpdateTable table/table"},
	{"DeleteTable", &api.DeleteTableInput{TableName: new("table")}, "dynamodb:DeleteTable table/table"},
	{"DescribeContinuousBackups", &api.DescribeContinuousBackupsInput{TableName: new("table")}, "dynamodb:DescribeContinuousBackups table/table"},
	{"DescribeTimeToLive", &api.DescribeTimeToLiveInput{TableName: new("table")}, "dynamodb:DescribeTimeToLive table/table"},
	{"UpdateTimeToLive", &api.UpdateTimeToLiveInput{TableName: new("table")}, "dynamodb:UpdateTimeToLive table/table"},
	{"UpdateContinuousBackups", &api.UpdateContinuousBackupsInput{TableName: new("table")}, "dynamodb:UpdateContinuousBackups table/table"},
	{"CreateBackup", &api.CreateBackupInput{TableName: new("table")}, "dynamodb:CreateBackup table/table"},
	{"DescribeBackup", &api.DescribeBackupInput{BackupArn: new("ARN")}, "dynamodb:DescribeBackup ARN"},
	{"DeleteBackup", &api.DeleteBackupInput{BackupArn: new("ARN")}, "dynamodb:DeleteBackup ARN"},
	{"ListBackups", &api.ListBackupsInput{}, "dynamodb:ListBackups *"},
	{
		"RestoreTableFromBackup", &api.RestoreTableFromBackupInput{BackupArn: new("ARN"), TargetTableName: new("new")},
		"dynamodb:RestoreTableFromBackup ARN; dynamodb:RestoreTableFromBackup table/new; dynamodb:BatchWriteItem table/new; dynamodb:DeleteItem table/new; " +
			"dynamodb:GetItem table/new; dynamodb:PutItem table/new; dynamodb:Query table/new; dynamodb:Scan table/new; dynamodb:UpdateItem table/new",
	},
	{
		"RestoreTableToPointInTime", &api.RestoreTableToPointInTimeInput{SourceTableName: new("table"), TargetTableName: new("new")},
		"dynamodb:RestoreTableToPointInTime table/table; dynamodb:RestoreTableToPointInTime table/new; dynamodb:BatchWriteItem table/new; dynamodb:DeleteItem table/new; " +
			"dynamodb:GetItem table/new; dynamodb:PutItem table/new; dynamodb:Query table/new; dynamodb:Scan table/new; dynamodb:UpdateItem table/new",
	},
	{"PutResourcePolicy", &api.PutResourcePolicyInput{ResourceArn: new("ARN")}, "dynamodb:PutResourcePolicy ARN"},
	{"GetResourcePolicy", &api.GetResourcePolicyInput{ResourceArn: new("ARN")}, "dynamodb:GetResourcePolicy ARN"},
	{"DeleteResourcePolicy", &api.DeleteResourcePolicyInput{ResourceArn: new("ARN")}, "dynamodb:DeleteResourcePolicy ARN"},
	{"TagResource", &api.TagResourceInput{ResourceArn: new("ARN"), Tags: []api.Tag{{Key: new("k"), Value: new("v")}}}, "dynamodb:TagResource ARN aws:RequestTag/k=[v] aws:TagKeys=[k]"},
	{"UntagResource", &api.UntagResourceInput{ResourceArn: new("ARN"), TagKeys: []string{"k"}}, "dynamodb:UntagResource ARN aws:TagKeys=[k]"},
	{"ListTagsOfResource", &api.ListTagsOfResourceInput{ResourceArn: new("ARN")}, "dynamodb:ListTagsOfResource ARN"},
	{
		"PutItem", &api.PutItemInput{
			TableName: new("table"), Item: M{"pk": api.S("a")}, ReturnValues: new("ALL_OLD"), ReturnConsumedCapacity: new("TOTAL"),
			ConditionExpression: new("attribute_exists(#x.y) AND z > :v"), ExpressionAttributeNames: map[string]string{"#x": "x"},
		},
		"dynamodb:PutItem table/table dynamodb:Attributes=[pk x z] dynamodb:LeadingKeys=[a] dynamodb:ReturnConsumedCapacity=[TOTAL] dynamodb:ReturnValues=[ALL_OLD]",
	},
	{
		"DeleteItem", &api.DeleteItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}, ConditionExpression: new("x = :v")},
		"dynamodb:DeleteItem table/table dynamodb:Attributes=[pk x] dynamodb:LeadingKeys=[a]",
	},
	{
		"UpdateItem", &api.UpdateItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}, UpdateExpression: new("SET x = if_not_exists(y[0], :v) REMOVE z.q")},
		"dynamodb:UpdateItem table/table dynamodb:Attributes=[pk x y z] dynamodb:LeadingKeys=[a]",
	},
	{
		"ExecuteStatement", &api.ExecuteStatementInput{Statement: new(`SELECT x.y FROM "table" WHERE pk IN ['a', ?] AND z > 1`), Parameters: []api.AttributeValue{api.S("b")}},
		"dynamodb:PartiQLSelect table/table dynamodb:Attributes=[pk x z] dynamodb:FullTableScan=[false] dynamodb:LeadingKeys=[a b] dynamodb:Select=[SPECIFIC_ATTRIBUTES]",
	},
	{
		"ExecuteStatement", &api.ExecuteStatementInput{Statement: new(`SELECT * FROM "table" WHERE pk = 'a' OR z = 1`)},
		"dynamodb:PartiQLSelect table/table dynamodb:Attributes=[pk z] dynamodb:FullTableScan=[true] dynamodb:Select=[ALL_ATTRIBUTES]",
	},
	{"ExecuteStatement", &api.ExecuteStatementInput{Statement: new("no statement")}, ""},
	{
		"BatchExecuteStatement", &api.BatchExecuteStatementInput{Statements: []api.BatchStatementRequest{
			{Statement: new(`INSERT INTO "table" VALUE {'pk': 'a', 'x': 1}`)}, {Statement: new(`DELETE FROM "table" WHERE pk = 'b'`)},
		}},
		"dynamodb:PartiQLInsert table/table dynamodb:Attributes=[pk x] dynamodb:EnclosingOperation=[BatchExecuteStatement] dynamodb:LeadingKeys=[a]; " +
			"dynamodb:PartiQLDelete table/table dynamodb:Attributes=[pk] dynamodb:EnclosingOperation=[BatchExecuteStatement] dynamodb:FullTableScan=[false] dynamodb:LeadingKeys=[b]",
	},
	{
		"ExecuteTransaction", &api.ExecuteTransactionInput{TransactStatements: []api.ParameterizedStatement{
			{Statement: new(`UPDATE "table" SET x = y + 1 REMOVE z WHERE pk = 'a'`)}, {Statement: new(`EXISTS(SELECT * FROM "table" WHERE pk = 'b')`)},
		}},
		"dynamodb:PartiQLUpdate table/table dynamodb:Attributes=[pk x y z] dynamodb:EnclosingOperation=[ExecuteTransaction] dynamodb:FullTableScan=[false] dynamodb:LeadingKeys=[a]; " +
			"dynamodb:PartiQLSelect table/table dynamodb:Attributes=[pk] dynamodb:EnclosingOperation=[ExecuteTransaction] dynamodb:FullTableScan=[false] dynamodb:LeadingKeys=[b]",
	},
	{
		"GetItem", &api.GetItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}},
		"dynamodb:GetItem table/table dynamodb:Attributes=[pk] dynamodb:LeadingKeys=[a] dynamodb:Select=[ALL_ATTRIBUTES]",
	},
	{
		"GetItem", &api.GetItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}, ProjectionExpression: new("x.y, z")},
		"dynamodb:GetItem table/table dynamodb:Attributes=[pk x z] dynamodb:LeadingKeys=[a] dynamodb:Select=[SPECIFIC_ATTRIBUTES]",
	},
	{
		"Query", &api.QueryInput{
			TableName: new("table"), KeyConditionExpression: new(":v = #k"), FilterExpression: new("x = :v"), Select: new("COUNT"),
			ExpressionAttributeNames: map[string]string{"#k": "pk"}, ExpressionAttributeValues: M{":v": api.S("a")},
		},
		"dynamodb:Query table/table dynamodb:Attributes=[pk x] dynamodb:LeadingKeys=[a] dynamodb:Select=[COUNT]",
	},
	{
		"Query", &api.QueryInput{
			TableName: new("table"), IndexName: new("gsi"), KeyConditionExpression: new("g = :g"), ExpressionAttributeValues: M{":g": api.N("1.0")},
		},
		"dynamodb:Query table/table/index/gsi dynamodb:Attributes=[g] dynamodb:LeadingKeys=[1] dynamodb:Select=[ALL_PROJECTED_ATTRIBUTES]",
	},
	{
		"Scan", &api.ScanInput{TableName: new("table"), FilterExpression: new("x = :v")},
		"dynamodb:Scan table/table dynamodb:Attributes=[x] dynamodb:Select=[ALL_ATTRIBUTES]",
	},
	{"Scan", &api.ScanInput{TableName: new("table"), IndexName: new("gsi")}, "dynamodb:Scan table/table/index/gsi dynamodb:Select=[ALL_PROJECTED_ATTRIBUTES]"},
	{
		"BatchGetItem", &api.BatchGetItemInput{RequestItems: map[string]api.KeysAndAttributes{
			"table": {Keys: []M{{"pk": api.S("a")}, {"pk": api.S("b")}}}, "nope": {Keys: []M{{"pk": api.S("a")}}},
		}},
		"dynamodb:BatchGetItem table/nope dynamodb:Attributes=[pk] dynamodb:Select=[ALL_ATTRIBUTES]; " +
			"dynamodb:BatchGetItem table/table dynamodb:Attributes=[pk] dynamodb:LeadingKeys=[a b] dynamodb:Select=[ALL_ATTRIBUTES]",
	},
	{
		"BatchWriteItem", &api.BatchWriteItemInput{RequestItems: map[string][]api.WriteRequest{"table": {
			{PutRequest: &api.PutRequest{Item: M{"pk": api.S("a")}}}, {DeleteRequest: &api.DeleteRequest{Key: M{"pk": api.S("b")}}},
		}}},
		"dynamodb:BatchWriteItem table/table dynamodb:Attributes=[pk] dynamodb:LeadingKeys=[a b]",
	},
	{
		"TransactGetItems", &api.TransactGetItemsInput{TransactItems: []api.TransactGetItem{{Get: &api.Get{TableName: new("table"), Key: M{"pk": api.S("a")}}}}},
		"dynamodb:GetItem table/table dynamodb:Attributes=[pk] dynamodb:EnclosingOperation=[TransactGetItems] dynamodb:LeadingKeys=[a] dynamodb:Select=[ALL_ATTRIBUTES]",
	},
	{
		"TransactWriteItems", &api.TransactWriteItemsInput{TransactItems: []api.TransactWriteItem{
			{ConditionCheck: &api.ConditionCheck{TableName: new("table"), Key: M{"pk": api.S("a")}, ConditionExpression: new("x = :v")}},
			{Put: &api.Put{TableName: new("table"), Item: M{"pk": api.S("b")}}},
			{Delete: &api.Delete{TableName: new("table"), Key: M{"pk": api.S("c")}}},
			{Update: &api.Update{TableName: new("table"), Key: M{"pk": api.S("d")}, UpdateExpression: new("ADD n :v")}},
		}},
		"dynamodb:ConditionCheckItem table/table dynamodb:Attributes=[pk x] dynamodb:EnclosingOperation=[TransactWriteItems] dynamodb:LeadingKeys=[a]; " +
			"dynamodb:PutItem table/table dynamodb:Attributes=[pk] dynamodb:EnclosingOperation=[TransactWriteItems] dynamodb:LeadingKeys=[b]; " +
			"dynamodb:DeleteItem table/table dynamodb:Attributes=[pk] dynamodb:EnclosingOperation=[TransactWriteItems] dynamodb:LeadingKeys=[c]; " +
			"dynamodb:UpdateItem table/table dynamodb:Attributes=[n pk] dynamodb:EnclosingOperation=[TransactWriteItems] dynamodb:LeadingKeys=[d]",
	},
}

func showChecks(checks []policy.Check) string {
	var out []string
	for _, c := range checks {
		if c.More != nil {
			var err error
			if c.Context, err = c.More(); err != nil {
				return err.Error()
			}
		}
		s := c.Action + " " + strings.TrimPrefix(c.Resource, "arn:aws:dynamodb:us-east-1:000000000000:")
		for _, k := range sortedKeys(c.Context) {
			// The order of values means nothing.
			s += fmt.Sprintf(" %s=%v", k, slices.Sorted(slices.Values(c.Context[k])))
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

func TestChecks(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "gsi g:N ALL")
	for _, c := range authzCases {
		checks, mapped, err := b.Checks(b.ctx, c.operation, c.in)
		if err != nil || !mapped {
			t.Errorf("%s: %t, %v", c.operation, mapped, err)
			continue
		}
		if got := showChecks(checks); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.operation, got, c.want)
		}
	}
}

// A table has one ARN. What a policy denies under that cannot be had under another.
func TestTablesHaveOneARN(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	for _, arn := range []string{
		strings.Replace(tableARN, "arn:aws:", "arn:aws-cn:", 1), strings.Replace(tableARN, "arn:aws:", "arn::", 1), tableARN + ":", tableARN + "/", tableARN + "/index/x",
	} {
		_, err := b.ListTagsOfResource(b.ctx, &api.ListTagsOfResourceInput{ResourceArn: &arn})
		wantError(t, err, "ValidationException: …")
		_, err = b.GetResourcePolicy(b.ctx, &api.GetResourcePolicyInput{ResourceArn: &arn})
		wantError(t, err, "ValidationException: …")
		_, err = b.DescribeBackup(b.ctx, &api.DescribeBackupInput{BackupArn: new(arn + "/backup/x")})
		wantError(t, err, "ValidationException: …")
		_, err = b.Streams().DescribeStream(b.ctx, &streamsapi.DescribeStreamInput{StreamArn: new(arn + "/stream/x")})
		wantError(t, err, "ValidationException: …")
	}
}

// The tags of a table are there for the policies that ask for them, whatever the operation.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/attribute-based-access-control.html
func TestResourceTags(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "gsi g:N ALL")
	must(b.TagResource(b.ctx, &api.TagResourceInput{ResourceArn: new(tableARN), Tags: []api.Tag{{Key: new("team"), Value: new("blue")}}}))(t)
	table, key := new("table"), M{"pk": api.S("a")}
	for _, tt := range []struct {
		operation string
		in        schema.Struct
	}{
		{"DescribeTable", &api.DescribeTableInput{TableName: table}},
		{"DeleteTable", &api.DeleteTableInput{TableName: new(tableARN)}},
		{"TagResource", &api.TagResourceInput{ResourceArn: new(tableARN)}},
		{"GetItem", &api.GetItemInput{TableName: table, Key: key}},
		{"Query", &api.QueryInput{TableName: table, IndexName: new("gsi")}},
		{"BatchGetItem", &api.BatchGetItemInput{RequestItems: map[string]api.KeysAndAttributes{"table": {Keys: []M{key}}}}},
		{"ExecuteStatement", &api.ExecuteStatementInput{Statement: new(`SELECT * FROM "table"`)}},
	} {
		checks, _, err := b.Checks(b.ctx, tt.operation, tt.in)
		if err != nil {
			t.Fatal(err)
		}
		for value, allowed := range map[string]bool{"blue": true, "red": false} {
			doc, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"`+value+`"}}}}`, policy.Identity)
			if err != nil {
				t.Fatal(err)
			}
			info := *call.From(b.ctx)
			info.Principal = call.Principal{Type: call.User, Account: info.Account, ARN: "arn:aws:iam::" + info.Account + ":user/u", ID: "AIDA"}
			if d := policy.Evaluate(&info, &policy.Policies{Identity: []*policy.Document{doc}}, &checks[0]); d.Err != nil || d.Allowed != allowed {
				t.Errorf("%s of a blue table for %s: %+v", tt.operation, value, d)
			}
		}
	}
}

// Every operation that is implemented says what it needs, and no other does.
func TestEveryOperationHasChecks(t *testing.T) {
	b := newBench(t)
	cases := map[string]bool{}
	for _, c := range authzCases {
		cases[c.operation] = true
	}
	handlers := api.Handlers(b.Service)
	for i, op := range api.Schema().Operations {
		if got, want := implemented(b, handlers[i]), cases[op.Name]; got != want {
			t.Errorf("%s: implemented %t, but its checks are tested %t", op.Name, got, want)
		}
	}
	for i, op := range api.Schema().Operations {
		if cases[op.Name] {
			continue
		}
		if _, mapped, err := b.Checks(b.ctx, op.Name, handlers[i].New()); mapped || err != nil {
			t.Errorf("%s has checks but is not implemented: %v", op.Name, err)
		}
	}
}

// implemented reports whether a handler does anything but say that it is not there. An empty input may make it panic.
func implemented(b *bench, h schema.Handler) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = true
		}
	}()
	_, err := h.Call(b.ctx, h.New())
	e, ok := errors.AsType[awserr.Error](err)
	return !ok || e.ErrorCode() != "NotImplemented"
}

func TestChecksOfBadInput(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		operation string
		in        schema.Struct
		err       string
	}{
		{"GetItem", &api.GetItemInput{TableName: new("ab"), Key: M{}}, "ValidationException: 1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"},
		{"DescribeTable", &api.DescribeTableInput{TableName: new("arn:aws:dynamodb:eu-west-1:000000000000:table/table")}, "AccessDeniedException: …"},
		{"Query", &api.QueryInput{TableName: new("table"), KeyConditionExpression: new("pk BETWEEN :a AND :b"), ExpressionAttributeValues: M{":a": api.N(""), ":b": api.N("x")}}, "no error"},
		{"Query", &api.QueryInput{TableName: new("table"), KeyConditionExpression: new("((("), FilterExpression: new("[.#:")}, "no error"},
		{"PutItem", &api.PutItemInput{TableName: new("table"), Item: M{"pk": api.Malformed{api.S("a"), api.N("1")}}}, "no error"},
	} {
		_, mapped, err := b.Checks(b.ctx, c.operation, c.in)
		if !mapped {
			t.Errorf("%s is not mapped", c.operation)
		}
		wantError(t, err, c.err)
	}
}

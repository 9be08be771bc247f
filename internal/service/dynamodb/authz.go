package dynamodb

import (
	"context"
	"maps"
	"slices"
	"strconv"

	api "brume/internal/api/dynamodb"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/schema"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
	"brume/internal/service/dynamodb/number"
	"brume/internal/service/dynamodb/partiql"
)

// Checks maps the input of an operation to the permissions that it needs.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
func (s *Service) Checks(ctx context.Context, operation string, in schema.Struct) (checks []policy.Check, mapped bool, err error) {
	a := &authorization{service: s, ctx: ctx, scope: scopeOf(ctx), operation: operation}
	switch in := in.(type) {
	case *api.ListTablesInput, *api.DescribeLimitsInput, *api.DescribeEndpointsInput:
		a.checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: "*"}}
	case *api.CreateTableInput:
		a.onTable(in.TableName)
		if len(in.Tags) > 0 && len(a.checks) > 0 {
			a.checks[0].Context = requestTags(in.Tags)
			a.checks = append(a.checks, policy.Check{
				Action: "dynamodb:TagResource", Resource: a.checks[0].Resource, Context: a.checks[0].Context,
			})
		}
		if in.ResourcePolicy != nil && len(a.checks) > 0 {
			a.checks = append(a.checks, policy.Check{Action: "dynamodb:PutResourcePolicy", Resource: a.checks[0].Resource})
		}
	case *api.DescribeTableInput:
		a.onTable(in.TableName)
	case *api.UpdateTableInput:
		a.onTable(in.TableName)
	case *api.DeleteTableInput:
		a.onTable(in.TableName)
	case *api.DescribeContinuousBackupsInput:
		a.onTable(in.TableName)
	case *api.DescribeTimeToLiveInput:
		a.onTable(in.TableName)
	case *api.UpdateTimeToLiveInput:
		a.onTable(in.TableName)
	case *api.UpdateContinuousBackupsInput:
		a.onTable(in.TableName)
	case *api.CreateBackupInput:
		a.onTable(in.TableName)
	case *api.ListBackupsInput:
		a.checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: "*"}}
	case *api.DescribeBackupInput:
		a.checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: *in.BackupArn}}
	case *api.DeleteBackupInput:
		a.checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: *in.BackupArn}}
	case *api.RestoreTableFromBackupInput:
		a.checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: *in.BackupArn}}
		a.restores(in.TargetTableName)
	case *api.RestoreTableToPointInTimeInput:
		source, err := a.scope.restoreSource(in)
		if err != nil {
			return nil, true, err
		}
		a.onTable(&source)
		a.restores(in.TargetTableName)
	case *api.PutResourcePolicyInput:
		a.checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: *in.ResourceArn}}
	case *api.GetResourcePolicyInput:
		a.checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: *in.ResourceArn}}
	case *api.DeleteResourcePolicyInput:
		a.checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: *in.ResourceArn}}
	case *api.TagResourceInput:
		a.checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: *in.ResourceArn, Context: requestTags(in.Tags)}}
	case *api.UntagResourceInput:
		a.checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: *in.ResourceArn,
			Context: map[string][]string{"aws:TagKeys": in.TagKeys}}}
	case *api.ListTagsOfResourceInput:
		a.checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: *in.ResourceArn}}

	case *api.PutItemInput:
		a.onItems("PutItem", in.TableName, nil, func(v *values) []item.Map {
			v.returnValues, v.returnConsumedCapacity = in.ReturnValues, in.ReturnConsumedCapacity
			v.item(in.Item)
			v.expression(expression.Condition, in.ConditionExpression, in.ExpressionAttributeNames)
			named(v, in.Expected)
			return []item.Map{in.Item}
		})
	case *api.DeleteItemInput:
		a.onItems("DeleteItem", in.TableName, nil, func(v *values) []item.Map {
			v.returnValues, v.returnConsumedCapacity = in.ReturnValues, in.ReturnConsumedCapacity
			v.item(in.Key)
			v.expression(expression.Condition, in.ConditionExpression, in.ExpressionAttributeNames)
			named(v, in.Expected)
			return []item.Map{in.Key}
		})
	case *api.UpdateItemInput:
		a.onItems("UpdateItem", in.TableName, nil, func(v *values) []item.Map {
			v.returnValues, v.returnConsumedCapacity = in.ReturnValues, in.ReturnConsumedCapacity
			v.item(in.Key)
			v.expression(expression.Condition, in.ConditionExpression, in.ExpressionAttributeNames)
			v.expression(expression.Update, in.UpdateExpression, in.ExpressionAttributeNames)
			named(v, in.Expected)
			named(v, in.AttributeUpdates)
			return []item.Map{in.Key}
		})
	case *api.GetItemInput:
		a.onItems("GetItem", in.TableName, nil, func(v *values) []item.Map {
			v.returnConsumedCapacity = in.ReturnConsumedCapacity
			v.item(in.Key)
			v.selected(nil, in.ProjectionExpression, in.ExpressionAttributeNames, in.AttributesToGet, nil)
			return []item.Map{in.Key}
		})
	case *api.QueryInput:
		a.onItems("Query", in.TableName, in.IndexName, func(v *values) []item.Map {
			v.returnConsumedCapacity = in.ReturnConsumedCapacity
			v.expression(expression.KeyCondition, in.KeyConditionExpression, in.ExpressionAttributeNames)
			v.expression(expression.Filter, in.FilterExpression, in.ExpressionAttributeNames)
			v.selected(in.Select, in.ProjectionExpression, in.ExpressionAttributeNames, in.AttributesToGet, in.IndexName)
			named(v, in.KeyConditions)
			named(v, in.QueryFilter)
			return []item.Map{a.queriedKey(in)}
		})
	case *api.ScanInput:
		a.onItems("Scan", in.TableName, in.IndexName, func(v *values) []item.Map {
			v.returnConsumedCapacity = in.ReturnConsumedCapacity
			v.expression(expression.Filter, in.FilterExpression, in.ExpressionAttributeNames)
			v.selected(in.Select, in.ProjectionExpression, in.ExpressionAttributeNames, in.AttributesToGet, in.IndexName)
			named(v, in.ScanFilter)
			return nil
		})

	case *api.BatchGetItemInput:
		for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
			request := in.RequestItems[name]
			a.onItems("BatchGetItem", &name, nil, func(v *values) []item.Map {
				v.returnConsumedCapacity = in.ReturnConsumedCapacity
				for _, key := range request.Keys {
					v.item(key)
				}
				v.selected(nil, request.ProjectionExpression, request.ExpressionAttributeNames, request.AttributesToGet, nil)
				return request.Keys
			})
		}
	case *api.BatchWriteItemInput:
		for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
			a.onItems("BatchWriteItem", &name, nil, func(v *values) []item.Map {
				v.returnConsumedCapacity = in.ReturnConsumedCapacity
				var items []item.Map
				for _, r := range in.RequestItems[name] {
					if r.PutRequest != nil {
						items = append(items, r.PutRequest.Item)
					}
					if r.DeleteRequest != nil {
						items = append(items, r.DeleteRequest.Key)
					}
				}
				for _, m := range items {
					v.item(m)
				}
				return items
			})
		}
	case *api.TransactGetItemsInput:
		for i := range in.TransactItems {
			g := in.TransactItems[i].Get
			a.onItems("GetItem", g.TableName, nil, func(v *values) []item.Map {
				v.returnConsumedCapacity, v.enclosing = in.ReturnConsumedCapacity, operation
				v.item(g.Key)
				v.selected(nil, g.ProjectionExpression, g.ExpressionAttributeNames, nil, nil)
				return []item.Map{g.Key}
			})
		}
	case *api.TransactWriteItemsInput:
		for i := range in.TransactItems {
			a.transactItem(&in.TransactItems[i], in.ReturnConsumedCapacity)
		}
	case *api.ExecuteStatementInput:
		a.statement(*in.Statement, in.Parameters, in.ReturnConsumedCapacity, "")
	case *api.BatchExecuteStatementInput:
		for _, one := range in.Statements {
			a.statement(*one.Statement, one.Parameters, in.ReturnConsumedCapacity, operation)
		}
	case *api.ExecuteTransactionInput:
		for _, one := range in.TransactStatements {
			a.statement(*one.Statement, one.Parameters, in.ReturnConsumedCapacity, operation)
		}
	default:
		return nil, false, nil
	}
	if a.err == nil && !a.guarded {
		a.err = s.guarded(ctx, a.checks)
	}
	return a.checks, true, a.err
}

// oneTable are the operations that name one table, which may be another account's.
var oneTable = []string{
	"DescribeTable", "UpdateTable", "DeleteTable", "DescribeContinuousBackups", "UpdateContinuousBackups", "DescribeTimeToLive",
	"UpdateTimeToLive", "CreateBackup", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan",
}

// An authorization collects the checks of one call.
type authorization struct {
	service   *Service
	ctx       context.Context
	scope     scope
	operation string
	checks    []policy.Check
	guarded   bool // the checks have their resource policies
	err       error
}

func (a *authorization) arn(table *string) (name, arn string, ok bool) {
	find := a.scope.tableName
	if slices.Contains(oneTable, a.operation) {
		find = a.scope.locate
	}
	name, err := find(table)
	if err != nil {
		a.err = err
		return "", "", false
	}
	return name, a.scope.tableARN(name), true
}

// onTable adds a check of the operation on a table.
func (a *authorization) onTable(table *string) {
	if _, arn, ok := a.arn(table); ok {
		a.checks = append(a.checks, policy.Check{Action: "dynamodb:" + a.operation, Resource: arn})
	}
}

// restores adds the checks of a restore into a table: of the operation, and of what it does to the items.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
func (a *authorization) restores(target *string) {
	a.onTable(target)
	if _, arn, ok := a.arn(target); ok {
		for _, action := range [...]string{"BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem"} {
			a.checks = append(a.checks, policy.Check{Action: "dynamodb:" + action, Resource: arn})
		}
	}
}

// onItems adds a check of an action on items of a table or index. describe, called only if a policy has conditions on
// them, takes the values of the condition keys, and returns items that hold at least the partition keys that the action
// is confined to; without them it is confined to none.
func (a *authorization) onItems(action string, named, index *string, describe func(*values) []item.Map) {
	name, arn, ok := a.arn(named)
	if !ok {
		return
	}
	if index != nil {
		arn += "/index/" + *index
	}
	check := policy.Check{Action: "dynamodb:" + action, Resource: arn, More: func() (map[string][]string, error) {
		var v values
		keys := describe(&v)
		if v.err != nil {
			return nil, v.err
		}
		context := v.context()
		t, k, err := a.table(name, index)
		if err != nil || t == nil {
			return context, err
		}
		t.tagKeys(context)
		if leading := leadingKeys(k, keys); leading != nil {
			context["dynamodb:LeadingKeys"] = leading
		}
		return context, nil
	}}
	a.guarded = true
	any, err := a.service.policies.any(a.ctx, a.service)
	if err == nil && any {
		var t *table
		if t, _, err = a.table(name, index); t != nil {
			check.ResourcePolicy = t.policy
		}
	}
	if err != nil {
		a.err = err
		return
	}
	a.checks = append(a.checks, check)
}

// table returns a table, nil if there is none, and its key schema or that of its index, nil if there is none.
func (a *authorization) table(name string, index *string) (t *table, k *keySchema, err error) {
	err = a.service.view(a.ctx, func(r kv.Reader) error {
		t, err = a.service.findTable(r, a.scope, name)
		return err
	})
	switch {
	case err != nil || t == nil:
		return nil, nil, err
	case index == nil:
		k = &t.Key
	default:
		if x := t.index(*index); x != nil {
			k = &x.Key
		}
	}
	return t, k, nil
}

// tagKeys adds the condition keys for the tags of a table, which are those of its indexes too.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/attribute-based-access-control.html
func (t *table) tagKeys(context map[string][]string) {
	for key, value := range t.Tags {
		context["aws:ResourceTag/"+key] = []string{value}
	}
}

// leadingKeys are the values of the partition keys of items, as policies see them.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
func leadingKeys(k *keySchema, items []item.Map) []string {
	if k == nil {
		return nil
	}
	var out []string
	for _, m := range items {
		text := ""
		switch v := m[k.Hash[0].Name].(type) {
		case api.S:
			text = string(v)
		case api.N:
			n, err := number.Canonical(string(v))
			if err != nil {
				continue // the operation will refuse it
			}
			text = n
		case api.B:
			text = string(v)
		default:
			continue
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// queriedKey returns the attributes that a Query's key condition sets equal to values.
func (a *authorization) queriedKey(in *api.QueryInput) item.Map {
	// What is wrong here, the operation will refuse.
	p, err := expression.NewPlaceholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil
	}
	keyCondition, err := predicate(p, exprParam{expression.KeyCondition, in.KeyConditionExpression})
	if err != nil {
		return nil
	}
	conds, err := keyConds(keyCondition, in)
	if err != nil {
		return nil
	}
	m := item.Map{}
	for _, c := range conds {
		if c.Op == expression.KeyEQ {
			m[c.Attribute] = c.Values[0]
		}
	}
	return m
}

func (a *authorization) transactItem(in *api.TransactWriteItem, returnConsumedCapacity *string) {
	add := func(action string, table *string, key item.Map, condition, update *string, names map[string]string) {
		a.onItems(action, table, nil, func(v *values) []item.Map {
			v.returnConsumedCapacity, v.enclosing = returnConsumedCapacity, a.operation
			v.item(key)
			v.expression(expression.Condition, condition, names)
			v.expression(expression.Update, update, names)
			return []item.Map{key}
		})
	}
	if c := in.ConditionCheck; c != nil {
		add("ConditionCheckItem", c.TableName, c.Key, c.ConditionExpression, nil, c.ExpressionAttributeNames)
	}
	if p := in.Put; p != nil {
		add("PutItem", p.TableName, p.Item, p.ConditionExpression, nil, p.ExpressionAttributeNames)
	}
	if d := in.Delete; d != nil {
		add("DeleteItem", d.TableName, d.Key, d.ConditionExpression, nil, d.ExpressionAttributeNames)
	}
	if u := in.Update; u != nil {
		add("UpdateItem", u.TableName, u.Key, u.ConditionExpression, u.UpdateExpression, u.ExpressionAttributeNames)
	}
}

// statement adds the check of a PartiQL statement. One that cannot be parsed does nothing, so it needs no permission.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
func (a *authorization) statement(src string, parameters []api.AttributeValue, returnConsumedCapacity *string, enclosing string) {
	stmt, err := partiql.Parse(src, parameters)
	if err != nil {
		return
	}
	table, index := stmt.Source()
	if _, err := a.scope.tableName(&table); err != nil {
		return // the operation will refuse it, in its own place
	}
	var (
		action string
		where  *partiql.Expr
	)
	switch stmt := stmt.(type) {
	case *partiql.Insert:
		action = "PartiQLInsert"
	case *partiql.Update:
		action, where = "PartiQLUpdate", stmt.Where
	case *partiql.Delete:
		action, where = "PartiQLDelete", stmt.Where
	case *partiql.Exists:
		action, where = "PartiQLSelect", stmt.Where
	case *partiql.Select:
		action, where = "PartiQLSelect", stmt.Where
	}
	a.onItems(action, &table, index, func(v *values) []item.Map {
		v.returnConsumedCapacity, v.enclosing = returnConsumedCapacity, enclosing
		switch stmt := stmt.(type) {
		case *partiql.Insert:
			v.item(stmt.Item)
			return []item.Map{stmt.Item}
		case *partiql.Update:
			for _, set := range stmt.Sets {
				v.attribute(set.Path.Head())
				set.Value.Attributes(v.attribute)
			}
		case *partiql.Select:
			v.selects = "ALL_ATTRIBUTES"
			for _, path := range stmt.Paths {
				v.attribute(path.Head())
				v.selects = "SPECIFIC_ATTRIBUTES"
			}
		}
		where.Attributes(v.attribute)
		return a.statementKeys(v, table, index, where)
	})
}

// statementKeys are the partition keys that a statement is confined to, if it is confined to any.
func (a *authorization) statementKeys(v *values, table string, index *string, where *partiql.Expr) []item.Map {
	name, err := a.scope.tableName(&table)
	if err != nil {
		v.err = err
		return nil
	}
	_, k, err := a.table(name, index)
	if err != nil {
		v.err = err
	}
	if k == nil {
		return nil
	}
	plan, err := planKey(k, where)
	if err != nil {
		return nil // the operation will refuse it
	}
	v.fullScan = strconv.FormatBool(plan.partitions == nil)
	return plan.partitions
}

// values are those of DynamoDB's condition keys.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html#FGAC_DDB.ConditionKeys
type values struct {
	attributes             []string
	selects                string
	returnValues           *string
	returnConsumedCapacity *string
	enclosing              string
	// fullScan says "true" or "false" of a PartiQL statement.
	fullScan string
	// err is what kept a describe from its work.
	err error
}

func (v *values) attribute(name string) {
	if !slices.Contains(v.attributes, name) {
		v.attributes = append(v.attributes, name)
	}
}

func (v *values) item(m item.Map) {
	for name := range m {
		v.attribute(name)
	}
}

func (v *values) expression(parameter expression.Parameter, src *string, names map[string]string) {
	if src != nil {
		expression.TopLevel(parameter, *src, names, v.attribute)
	}
}

// named takes the attributes that a legacy parameter names.
func named[V any](v *values, parameter map[string]V) {
	for name := range parameter {
		v.attribute(name)
	}
}

// selected takes what a read returns.
func (v *values) selected(selects, projection *string, names map[string]string, attributesToGet []string, index *string) {
	v.expression(expression.Projection, projection, names)
	for _, name := range attributesToGet {
		v.attribute(name)
	}
	switch {
	case selects != nil:
		v.selects = *selects
	case projection != nil || attributesToGet != nil:
		v.selects = "SPECIFIC_ATTRIBUTES"
	case index != nil:
		v.selects = "ALL_PROJECTED_ATTRIBUTES"
	default:
		v.selects = "ALL_ATTRIBUTES"
	}
}

func (v *values) context() map[string][]string {
	out := map[string][]string{}
	add := func(key, value string) {
		if value != "" {
			out["dynamodb:"+key] = []string{value}
		}
	}
	if len(v.attributes) > 0 {
		out["dynamodb:Attributes"] = v.attributes
	}
	add("Select", v.selects)
	add("ReturnValues", deref(v.returnValues))
	add("ReturnConsumedCapacity", deref(v.returnConsumedCapacity))
	add("EnclosingOperation", v.enclosing)
	add("FullTableScan", v.fullScan)
	return out
}

// requestTags are the condition keys for tags in a request.
func requestTags(tags []api.Tag) map[string][]string {
	out := map[string][]string{}
	for _, t := range tags {
		out["aws:TagKeys"] = append(out["aws:TagKeys"], *t.Key)
		key := "aws:RequestTag/" + *t.Key
		out[key] = append(out[key], *t.Value)
	}
	return out
}

package dynamodb

import (
	"context"
	"fmt"
	"slices"
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
)

// Limits of tables.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
const (
	maxLocalIndexes    = 5
	maxGlobalIndexes   = 20
	maxNonKey          = 100 // attributes that all indexes together may project by name
	maxUnits           = 1_000_000_000_000
	maxKeyAttributeLen = 255
	// maxIndexKey is how many partition and how many sort key attributes a global secondary index may have.
	maxIndexKey = 4
)

// CreateTable makes a table. It is ACTIVE as soon as the call returns; the response calls it CREATING, as AWS's does.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
func (s *Service) CreateTable(ctx context.Context, in *api.CreateTableInput) (*api.CreateTableOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.tableName(in.TableName)
	if err != nil {
		return nil, err
	}
	row, err := newTable(sc, name, in)
	if err != nil {
		return nil, err
	}
	var ids map[string]string
	if in.ResourcePolicy != nil {
		if ids, err = s.principalIDs(ctx, *in.ResourcePolicy); err != nil {
			return nil, err
		}
	}
	var t *table
	err = s.update(ctx, func(tx kv.Tx) error {
		if t, err = s.findTable(tx, sc, name); err != nil {
			return err
		}
		if t != nil {
			return &api.ResourceInUseException{Message: new("Table already exists: " + name)}
		}
		t = &table{tableRow: *row, scope: sc}
		t.Created = tx.Now()
		if in.ResourcePolicy != nil {
			s.policies.expect()
			if t.Policy, _, err = newPolicy(*in.ResourcePolicy, ids, nil, tx.Now().UnixMilli()); err != nil {
				return err
			}
		}
		if t.PayPerRequest {
			t.BillingChanged = t.Created
		}
		if in.StreamSpecification != nil && deref(in.StreamSpecification.StreamEnabled) {
			if err := t.beginStream(tx, sc, *in.StreamSpecification.StreamViewType); err != nil {
				return err
			}
		}
		return setTable(tx, sc, &t.tableRow)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateTableOutput{TableDescription: t.describe("CREATING", nil)}, nil
}

// newTable makes a row of the request, complete but for the time.
func newTable(sc scope, name string, in *api.CreateTableInput) (*tableRow, error) {
	if err := checkKeyLengths(in); err != nil {
		return nil, err
	}
	row := &tableRow{
		Name: name, ID: newTableID(), UUID: newUUID(), Protected: deref(in.DeletionProtectionEnabled),
		InfrequentAccess: deref(in.TableClass) == "STANDARD_INFREQUENT_ACCESS",
		PayPerRequest:    deref(in.BillingMode) == "PAY_PER_REQUEST", OnDemand: newOnDemand(in.OnDemandThroughput),
	}
	if s := in.StreamSpecification; s != nil {
		switch on := deref(s.StreamEnabled); {
		case on && s.StreamViewType == nil:
			return nil, invalid("Table is being created with a stream enabled, UpdateViewType is required")
		case !on && s.StreamViewType != nil:
			return nil, invalid("Table is being created with a stream disabled, UpdateViewType should not be specified")
		}
	}
	if err := checkTableThroughput(row.PayPerRequest, in.ProvisionedThroughput); err != nil {
		return nil, err
	}
	row.Throughput = newThroughput(in.ProvisionedThroughput)
	if in.OnDemandThroughput != nil {
		if err := checkOnDemand(row.PayPerRequest, in.OnDemandThroughput, "table"); err != nil {
			return nil, err
		}
	}
	if in.WarmThroughput != nil {
		if err := row.warm("table", &row.Warm, in.WarmThroughput, row.PayPerRequest, &row.Throughput); err != nil {
			return nil, err
		}
	}
	if err := row.setEncryption(sc, in.SSESpecification); err != nil {
		return nil, err
	}
	if err := row.setTags(in.Tags); err != nil {
		return nil, err
	}
	for _, d := range in.AttributeDefinitions {
		if len(*d.AttributeName) > maxKeyAttributeLen {
			return nil, invalid("Attribute name is too long, must be less than 256 characters")
		}
		row.Attributes = append(row.Attributes, attribute{*d.AttributeName, *d.AttributeType})
	}
	if err := row.checkDefinitions(); err != nil {
		return nil, err
	}
	var err error
	if row.Key, err = row.schema(in.KeySchema, 1); err != nil {
		return nil, err
	}
	for i := range in.LocalSecondaryIndexes {
		x := &in.LocalSecondaryIndexes[i]
		if err := row.addIndex(&index{Name: *x.IndexName}, x.KeySchema, x.Projection); err != nil {
			return nil, err
		}
	}
	for i := range in.GlobalSecondaryIndexes {
		x := &in.GlobalSecondaryIndexes[i]
		if err := row.checkIndexThroughput(*x.IndexName, x.ProvisionedThroughput); err != nil {
			return nil, err
		}
		idx := &index{Name: *x.IndexName, Global: true, Throughput: newThroughput(x.ProvisionedThroughput)}
		if err := row.setIndexLimits(idx, x.OnDemandThroughput, x.WarmThroughput); err != nil {
			return nil, err
		}
		if err := row.addIndex(idx, x.KeySchema, x.Projection); err != nil {
			return nil, err
		}
	}
	if in.LocalSecondaryIndexes != nil && len(in.LocalSecondaryIndexes) == 0 {
		return nil, invalid("List of LocalSecondaryIndexes is empty")
	}
	if in.GlobalSecondaryIndexes != nil && len(in.GlobalSecondaryIndexes) == 0 {
		return nil, invalid("List of GlobalSecondaryIndexes is empty")
	}
	return row, row.checkIndexes()
}

// checkKeyLengths refuses keys of more than two attributes, which only global secondary indexes may have, so that the model
// does not bound them all.
func checkKeyLengths(in *api.CreateTableInput) error {
	var faults []string
	check := func(at string, key []api.KeySchemaElement) {
		if len(key) <= 2 {
			return
		}
		var parts []string
		for _, e := range key {
			parts = append(parts, fmt.Sprintf("KeySchemaElement(attributeName=%s, keyType=%s)", *e.AttributeName, *e.KeyType))
		}
		faults = append(faults, fmt.Sprintf("Value '[%s]' at '%s' failed to satisfy constraint: Member must have length less than or equal to 2",
			strings.Join(parts, ", "), at))
	}
	check("keySchema", in.KeySchema)
	for i := range in.LocalSecondaryIndexes {
		check(fmt.Sprintf("localSecondaryIndexes.%d.member.keySchema", i+1), in.LocalSecondaryIndexes[i].KeySchema)
	}
	return violations(faults)
}

func checkTableThroughput(payPerRequest bool, t *api.ProvisionedThroughput) error {
	switch {
	case payPerRequest && t != nil:
		return invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case !payPerRequest && t == nil:
		return invalid("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	}
	return checkUnits(t, "")
}

func checkUnits(t *api.ProvisionedThroughput, suffix string) error {
	if t == nil {
		return nil
	}
	if deref(t.ReadCapacityUnits) > maxUnits {
		return awserr.Validation("Given value %d for ReadCapacityUnits is out of bounds%s", *t.ReadCapacityUnits, suffix)
	}
	if deref(t.WriteCapacityUnits) > maxUnits {
		return awserr.Validation("Given value %d for WriteCapacityUnits is out of bounds%s", *t.WriteCapacityUnits, suffix)
	}
	return nil
}

func (row *tableRow) checkIndexThroughput(name string, t *api.ProvisionedThroughput) error {
	switch {
	case row.PayPerRequest && t != nil:
		return invalid("ProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", name)
	case !row.PayPerRequest && t == nil:
		return invalid("ProvisionedThroughput must be specified for index: %s", name)
	}
	return checkUnits(t, " for index "+name)
}

func newThroughput(t *api.ProvisionedThroughput) throughput {
	if t == nil {
		return throughput{}
	}
	return throughput{Read: deref(t.ReadCapacityUnits), Write: deref(t.WriteCapacityUnits)}
}

func newOnDemand(t *api.OnDemandThroughput) *onDemand {
	if t == nil {
		return nil
	}
	return &onDemand{t.MaxReadRequestUnits, t.MaxWriteRequestUnits}
}

// setEncryption records which key the table is said to be encrypted with.
func (row *tableRow) setEncryption(sc scope, in *api.SSESpecification) error {
	if in == nil {
		return nil
	}
	row.KMSKey = ""
	switch {
	case !deref(in.Enabled) && in.KMSMasterKeyId != nil:
		return invalid("KMSMasterKeyId cannot be specified if SSE is not enabled")
	case !deref(in.Enabled):
	case in.KMSMasterKeyId == nil:
		row.KMSKey = fmt.Sprintf("arn:aws:kms:%s:%s:alias/aws/dynamodb", sc.region, sc.account)
	case strings.HasPrefix(*in.KMSMasterKeyId, "arn:"):
		row.KMSKey = *in.KMSMasterKeyId
	case strings.HasPrefix(*in.KMSMasterKeyId, "alias/"):
		row.KMSKey = fmt.Sprintf("arn:aws:kms:%s:%s:%s", sc.region, sc.account, *in.KMSMasterKeyId)
	default:
		row.KMSKey = fmt.Sprintf("arn:aws:kms:%s:%s:key/%s", sc.region, sc.account, *in.KMSMasterKeyId)
	}
	return nil
}

func (row *tableRow) checkDefinitions() error {
	for i, a := range row.Attributes {
		for _, b := range row.Attributes[:i] {
			if a.Name == b.Name {
				return awserr.Validation("Attribute Name is duplicated: %s", a.Name)
			}
		}
	}
	return nil
}

// schema makes a key schema of the request, whose attributes must be defined. There may be up to limit partition key
// attributes and as many sort key attributes.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.DesignPattern.MultiAttributeKeys.html
func (row *tableRow) schema(in []api.KeySchemaElement, limit int) (keySchema, error) {
	var (
		k            keySchema
		undefined    bool
		names        []string
		hash, ranges int
		disorder     bool
	)
	for _, e := range in {
		names = append(names, *e.AttributeName)
		at := slices.IndexFunc(row.Attributes, func(a attribute) bool { return a.Name == *e.AttributeName })
		if at < 0 {
			undefined = true
		}
		to, count := &k.Range, &ranges
		if *e.KeyType == "HASH" {
			to, count, disorder = &k.Hash, &hash, disorder || ranges > 0
		}
		if *count++; at >= 0 {
			*to = append(*to, row.Attributes[at])
		}
	}
	switch {
	case len(in) == 0 || *in[0].KeyType != "HASH":
		return k, awserr.Validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case len(in) == 2 && limit == 1 && *in[1].KeyType != "RANGE":
		return k, awserr.Validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	case disorder:
		return k, invalid("All HASH key attributes must precede RANGE key attributes in the KeySchema")
	case hash > limit:
		return k, invalid("The KeySchema exceeds the maximum allowed number of HASH key attributes")
	case ranges > limit:
		return k, invalid("The KeySchema exceeds the maximum allowed number of RANGE key attributes")
	case len(in) == 2 && names[0] == names[1] && ranges == 1:
		return k, awserr.Validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	case len(slices.Compact(slices.Sorted(slices.Values(names)))) < len(names):
		return k, awserr.Validation("The KeySchema contains multiple key attributes with the same name")
	case undefined:
		return k, invalid("Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: [%s]",
			strings.Join(names, ", "), attributeNames(row.Attributes))
	}
	return k, nil
}

func attributeNames(list []attribute) string {
	var names []string
	for _, a := range list {
		names = append(names, a.Name)
	}
	return strings.Join(names, ", ")
}

// addIndex adds x, whose key and projection are checked.
func (row *tableRow) addIndex(x *index, key []api.KeySchemaElement, projection *api.Projection) error {
	if !isName(x.Name) {
		return awserr.Validation("1 validation error detected: Value '%s' at 'indexName' failed to satisfy constraint: "+
			"Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", x.Name)
	}
	var err error
	limit := 1
	if x.Global {
		limit = maxIndexKey
	}
	if x.Key, err = row.schema(key, limit); err != nil {
		return err
	}
	if !x.Global {
		switch {
		case len(row.Key.Range) == 0:
			return invalid("Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
		case len(x.Key.Range) == 0:
			return invalid("Index KeySchema does not have a range key for index: %s", x.Name)
		case x.Key.Hash[0] != row.Key.Hash[0]:
			return invalid("Index KeySchema does not have the same leading hash key as table KeySchema for index: %s. "+
				"index hash key: %s, table hash key: %s", x.Name, x.Key.Hash[0].Name, row.Key.Hash[0].Name)
		}
	}
	if projection == nil {
		return invalid("Unknown ProjectionType: null")
	}
	x.Projection, x.NonKey = deref(projection.ProjectionType), projection.NonKeyAttributes
	switch {
	case x.Projection == "":
		return invalid("Unknown ProjectionType: null")
	case x.Projection != "INCLUDE" && x.NonKey != nil:
		return invalid("ProjectionType is %s, but NonKeyAttributes is specified", x.Projection)
	case x.Projection == "INCLUDE" && len(x.NonKey) == 0:
		return invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
	}
	for i, name := range x.NonKey {
		if slices.Contains(x.NonKey[:i], name) {
			return invalid("Duplicate element in NonKeyAttributes: %s", name)
		}
	}
	if row.index(x.Name) != nil {
		return invalid("Duplicate index name: %s", x.Name)
	}
	x.Number = row.NextIndex
	row.NextIndex++
	row.Indexes = append(row.Indexes, *x)
	return nil
}

// checkIndexes checks what concerns all indexes together.
func (row *tableRow) checkIndexes() error {
	local, global, nonKey := 0, 0, 0
	used := row.Key.attributes()
	for _, x := range row.Indexes {
		if x.Global {
			global++
		} else {
			local++
		}
		nonKey += len(x.NonKey)
		for _, a := range x.Key.attributes() {
			if !slices.Contains(used, a) {
				used = append(used, a)
			}
		}
	}
	switch {
	case local > maxLocalIndexes:
		return invalid("Number of LocalSecondaryIndexes exceeds per-table limit of %d", maxLocalIndexes)
	case global > maxGlobalIndexes:
		return invalid("GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobalIndexes)
	case nonKey > maxNonKey:
		return invalid("Number of NonKeyAttributes exceeds the limit of %d", maxNonKey)
	case len(used) != len(row.Attributes) && len(row.Indexes) == 0:
		return invalid("Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	case len(used) != len(row.Attributes):
		return invalid("Some AttributeDefinitions are not used. AttributeDefinitions: [%s], keys used: [%s]",
			attributeNames(row.Attributes), attributeNames(used))
	}
	return nil
}

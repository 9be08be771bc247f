package dynamodb

import (
	"time"

	api "brume/internal/api/dynamodb"
)

// describe returns the table's description. sizes are those of the table and its indexes, nil for a table of which
// nothing is known yet or any more.
func (t *table) describe(status string, sizes *tableSizes) *api.TableDescription {
	if sizes == nil {
		sizes = new(tableSizes)
	}
	indexStatus := status
	if status == "UPDATING" {
		indexStatus = "ACTIVE"
	}
	warm := t.Warm.effective(t.PayPerRequest, &t.Throughput)
	d := &api.TableDescription{
		TableName: new(t.Name), TableArn: new(t.scope.tableARN(t.Name)), TableId: new(t.UUID), TableStatus: new(status),
		CreationDateTime: new(t.Created), KeySchema: describeKey(&t.Key),
		ItemCount: new(sizes.table.Items), TableSizeBytes: new(sizes.table.Bytes),
		ProvisionedThroughput:     t.Throughput.describe(),
		DeletionProtectionEnabled: new(t.Protected),
		OnDemandThroughput:        t.OnDemand.describe(),
		RestoreSummary:            t.Restored.describe(status),
		WarmThroughput: &api.TableWarmThroughputDescription{
			ReadUnitsPerSecond: new(warm.Read), WriteUnitsPerSecond: new(warm.Write), Status: new(status),
		},
	}
	for _, a := range t.Attributes {
		d.AttributeDefinitions = append(d.AttributeDefinitions, api.AttributeDefinition{
			AttributeName: new(a.Name), AttributeType: new(a.Type),
		})
	}
	if !t.BillingChanged.IsZero() {
		mode := "PROVISIONED"
		if t.PayPerRequest {
			mode = "PAY_PER_REQUEST"
		}
		d.BillingModeSummary = &api.BillingModeSummary{BillingMode: new(mode)}
		if status != "CREATING" {
			d.BillingModeSummary.LastUpdateToPayPerRequestDateTime = new(t.BillingChanged)
		}
	}
	if t.InfrequentAccess || !t.ClassChanged.IsZero() {
		class := "STANDARD"
		if t.InfrequentAccess {
			class = "STANDARD_INFREQUENT_ACCESS"
		}
		d.TableClassSummary = &api.TableClassSummary{TableClass: new(class), LastUpdateDateTime: describeTime(t.ClassChanged)}
	}
	if t.KMSKey != "" {
		d.SSEDescription = &api.SSEDescription{Status: new("ENABLED"), SSEType: new("KMS"), KMSMasterKeyArn: new(t.KMSKey)}
	}
	if t.Stream != nil {
		d.LatestStreamLabel, d.LatestStreamArn = new(t.Stream.Label), new(t.scope.streamARN(t.Name, t.Stream.Label))
		if t.streams() {
			d.StreamSpecification = &api.StreamSpecification{StreamEnabled: new(true), StreamViewType: new(t.Stream.View)}
		}
	}
	for i := range t.Indexes {
		x := &t.Indexes[i]
		size := sizes.indexes[x.Number]
		projection := &api.Projection{ProjectionType: new(x.Projection), NonKeyAttributes: x.NonKey}
		arn := *d.TableArn + "/index/" + x.Name
		if !x.Global {
			d.LocalSecondaryIndexes = append(d.LocalSecondaryIndexes, api.LocalSecondaryIndexDescription{
				IndexName: new(x.Name), IndexArn: new(arn), KeySchema: describeKey(&x.Key), Projection: projection,
				ItemCount: new(size.Items), IndexSizeBytes: new(size.Bytes),
			})
			continue
		}
		warm := x.Warm.effective(t.PayPerRequest, &x.Throughput)
		g := api.GlobalSecondaryIndexDescription{
			IndexName: new(x.Name), IndexArn: new(arn), KeySchema: describeKey(&x.Key), Projection: projection,
			ItemCount: new(size.Items), IndexSizeBytes: new(size.Bytes), IndexStatus: new(indexStatus),
			ProvisionedThroughput: x.Throughput.describe(), OnDemandThroughput: x.OnDemand.describe(),
			WarmThroughput: &api.GlobalSecondaryIndexWarmThroughputDescription{
				ReadUnitsPerSecond: new(warm.Read), WriteUnitsPerSecond: new(warm.Write), Status: new(indexStatus),
			},
		}
		if x.Status != "" {
			g.IndexStatus = new(x.Status)
			g.WarmThroughput.Status = nil
		}
		if x.Status == indexCreating {
			g.Backfilling = new(status != "UPDATING")
		}
		d.GlobalSecondaryIndexes = append(d.GlobalSecondaryIndexes, g)
	}
	return d
}

func describeKey(k *keySchema) []api.KeySchemaElement {
	var out []api.KeySchemaElement
	for _, a := range k.Hash {
		out = append(out, api.KeySchemaElement{AttributeName: new(a.Name), KeyType: new("HASH")})
	}
	for _, a := range k.Range {
		out = append(out, api.KeySchemaElement{AttributeName: new(a.Name), KeyType: new("RANGE")})
	}
	return out
}

func (t *throughput) describe() *api.ProvisionedThroughputDescription {
	return &api.ProvisionedThroughputDescription{
		ReadCapacityUnits: new(t.Read), WriteCapacityUnits: new(t.Write), NumberOfDecreasesToday: new(t.Decreases),
		LastIncreaseDateTime: describeTime(t.Increased), LastDecreaseDateTime: describeTime(t.Decreased),
	}
}

func (o *onDemand) describe() *api.OnDemandThroughput {
	if o == nil {
		return nil
	}
	return &api.OnDemandThroughput{MaxReadRequestUnits: o.Read, MaxWriteRequestUnits: o.Write}
}

func describeTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

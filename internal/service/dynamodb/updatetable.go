package dynamodb

import (
	"context"
	"slices"
	"strings"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
)

// Limits of changes.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html#limits-throughput-decrease
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/switching.capacitymode.html
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithTables.tableclasses.html
const (
	freeDecreases   = 4 // of a UTC day; after them, one an hour
	decreasePause   = time.Hour
	maxSwitches     = 4 // to PAY_PER_REQUEST
	switchesWindow  = 24 * time.Hour
	maxClassChanges = 2
	classWindow     = 30 * 24 * time.Hour
)

// UpdateTable changes settings of a table. An index that it adds is filled in the background, one that it removes is
// emptied there.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html
func (s *Service) UpdateTable(ctx context.Context, in *api.UpdateTableInput) (*api.UpdateTableOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	if err := checkUpdate(in); err != nil {
		return nil, err
	}
	var (
		t    *table
		work []byte
	)
	err = s.write(ctx, func(tx *writeTx) error {
		old, err := s.describedTable(tx, sc, name)
		if err != nil {
			return err
		}
		t = &table{tableRow: old.tableRow, scope: sc}
		if t.Status != "" {
			return inUse("Attempt to change a resource which is still in use: Table is being created: %s", name)
		}
		if err := t.update(sc, in, tx.Now()); err != nil {
			return err
		}
		if err := t.updateStream(tx, sc, in.StreamSpecification); err != nil {
			return err
		}
		if work, err = t.updateIndexes(tx, sc, in); err != nil {
			return err
		}
		return setTable(tx, sc, &t.tableRow)
	})
	if err != nil {
		return nil, err
	}
	var out *api.UpdateTableOutput
	err = s.view(ctx, func(r kv.Reader) error {
		sizes, err := s.sizes(r, t)
		if err == nil {
			out = &api.UpdateTableOutput{TableDescription: t.describe("UPDATING", sizes)}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.begin(ctx, work)
	return out, nil
}

func inUse(format string, args ...any) error {
	return &api.ResourceInUseException{Message: new(awserr.Validation(format, args...).ErrorMessage())}
}

func limitExceeded(format string, args ...any) error {
	return &api.LimitExceededException{Message: new(awserr.Validation(format, args...).ErrorMessage())}
}

// checkUpdate checks what a request asks for at once. Most settings can only be changed alone.
func checkUpdate(in *api.UpdateTableInput) error {
	indexes, creates := len(in.GlobalSecondaryIndexUpdates) > 0, 0
	for i := range in.GlobalSecondaryIndexUpdates {
		u := &in.GlobalSecondaryIndexUpdates[i]
		actions := 0
		for _, given := range [...]bool{u.Create != nil, u.Update != nil, u.Delete != nil} {
			if given {
				actions++
			}
		}
		switch {
		case actions == 0:
			return invalid("One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null")
		case actions > 1:
			return invalid("Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object")
		case u.Update == nil:
			creates++
		}
	}
	given := map[string]bool{
		"billing": in.BillingMode != nil, "throughput": in.ProvisionedThroughput != nil, "indexes": indexes,
		"stream": in.StreamSpecification != nil, "sse": in.SSESpecification != nil, "class": in.TableClass != nil,
		"protection": in.DeletionProtectionEnabled != nil, "onDemand": in.OnDemandThroughput != nil, "warm": in.WarmThroughput != nil,
		"replicas": len(in.ReplicaUpdates) > 0,
	}
	count := 0
	for _, is := range given {
		if is {
			count++
		}
	}
	throughput := given["throughput"] || deref(in.BillingMode) == "PROVISIONED"
	switch {
	case count == 0 && in.GlobalSecondaryIndexUpdates != nil:
		return invalid("List of GlobalSecondaryIndexUpdates is empty")
	case count == 0:
		return awserr.Validation("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, " +
			"SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, MultiRegionConsistency, " +
			"DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required")
	case given["replicas"] && count > 1:
		return invalid("Replica modification must be the only operation in the request")
	case given["replicas"]:
		return awserr.Validation("Global tables are not supported: Brume keeps the tables of each region apart.")
	case given["sse"] && count > 1:
		return invalid("Server-Side Encryption modification must be the only operation in the request")
	case given["class"] && count > 1:
		return invalid("TableClass modification must be the only operation in the request")
	case given["protection"] && count > 1:
		return invalid("DeletionProtection modification must be the only operation in the request")
	case given["warm"] && creates > 0:
		return invalid("Create global secondary index cannot be specified when updating WarmThroughput")
	case given["warm"] && count > 1 && !(count == 2 && indexes):
		return invalid("WarmThroughput must be the only operation in the request")
	case given["onDemand"] && count > 1 && !(count == 2 && given["billing"]):
		return invalid("OnDemandThroughput can only be combined with BillingMode in an UpdateTable request")
	case given["stream"] && throughput:
		return invalid("You cannot modify stream status while updating table IOPS")
	case creates > 0 && throughput:
		return invalid("You cannot create or delete index while updating table IOPS")
	case creates > 0 && given["stream"]:
		return invalid("You cannot create or delete index while changing stream status")
	case creates > 1:
		return oneIndex()
	}
	if s := in.StreamSpecification; s != nil {
		switch on := deref(s.StreamEnabled); {
		case on && s.StreamViewType == nil:
			return invalid("If stream is being enabled then UpdateViewType is required")
		case !on && s.StreamViewType != nil:
			return invalid("If stream is being disabled, then UpdateViewType must not be specified")
		}
	}
	return nil
}

func oneIndex() error {
	return limitExceeded("Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
}

func (row *tableRow) update(sc scope, in *api.UpdateTableInput, now time.Time) error {
	if err := row.updateThroughput(in, now); err != nil {
		return err
	}
	if in.DeletionProtectionEnabled != nil {
		row.Protected = *in.DeletionProtectionEnabled
	}
	if in.TableClass != nil {
		if infrequent := *in.TableClass == "STANDARD_INFREQUENT_ACCESS"; infrequent != row.InfrequentAccess {
			changes := within(row.ClassChanges, now, classWindow)
			if len(changes) >= maxClassChanges {
				return limitExceeded("Subscriber limit exceeded: Table class updates are limited to %d times in 30 day(s). Last update at %s.",
					maxClassChanges, formatTime(changes[len(changes)-1]))
			}
			row.InfrequentAccess, row.ClassChanged, row.ClassChanges = infrequent, now, append(changes, now)
		}
	}
	if in.WarmThroughput != nil {
		if err := row.warm("table", &row.Warm, in.WarmThroughput, row.PayPerRequest, &row.Throughput); err != nil {
			return err
		}
	}
	if in.SSESpecification != nil {
		before := row.KMSKey
		if err := row.setEncryption(sc, in.SSESpecification); err != nil {
			return err
		}
		switch {
		case before == "" && row.KMSKey == "":
			return invalid("Table is already encrypted by default")
		case before == row.KMSKey:
			return invalid("Table is already encrypted with given KMSMasterKeyId. Use KMSMasterKeyId parameter if you want to change Master Key")
		}
	}
	return nil
}

// within are the times of a list that lie less than d before now.
func within(times []time.Time, now time.Time, d time.Duration) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return now.Sub(t) >= d })
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC1123) }

func (row *tableRow) updateThroughput(in *api.UpdateTableInput, now time.Time) error {
	payPerRequest := row.PayPerRequest
	if in.BillingMode != nil {
		payPerRequest = *in.BillingMode == "PAY_PER_REQUEST"
	}
	switched := payPerRequest != row.PayPerRequest
	if in.ProvisionedThroughput != nil || switched || in.BillingMode != nil && !payPerRequest {
		if err := row.freeForThroughput(); err != nil {
			return err
		}
		if !payPerRequest && in.ProvisionedThroughput == nil {
			return invalid("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
		}
		if err := checkTableThroughput(payPerRequest, in.ProvisionedThroughput); err != nil {
			return err
		}
		next := newThroughput(in.ProvisionedThroughput)
		if !row.PayPerRequest && !payPerRequest {
			if next.Read == row.Throughput.Read && next.Write == row.Throughput.Write {
				return unchanged("table", "table", &row.Throughput)
			}
			if err := row.Throughput.mayDecrease(next.Read, next.Write, now); err != nil {
				return err
			}
			row.Throughput.change(next.Read, next.Write, now)
		} else {
			row.Throughput.Read, row.Throughput.Write = next.Read, next.Write
		}
	}
	if switched && payPerRequest {
		switches := within(row.Switches, now, switchesWindow)
		if len(switches) >= maxSwitches {
			return limitExceeded("Subscriber limit exceeded: Update to PayPerRequest mode are limited to %d times in 1 day(s). Last update at %s. "+
				"Next update can be made at %s", maxSwitches, formatTime(switches[len(switches)-1]), formatTime(switches[0].Add(switchesWindow)))
		}
		row.Switches, row.BillingChanged = append(switches, now), now
	}
	row.PayPerRequest = payPerRequest
	if switched {
		row.OnDemand = nil
		row.Indexes = slices.Clone(row.Indexes)
		for i := range row.Indexes {
			x := &row.Indexes[i]
			x.OnDemand = nil
			if payPerRequest {
				x.Throughput.Read, x.Throughput.Write = 0, 0
				continue
			}
			updated := slices.ContainsFunc(in.GlobalSecondaryIndexUpdates, func(u api.GlobalSecondaryIndexUpdate) bool {
				return u.Update != nil && *u.Update.IndexName == x.Name && u.Update.ProvisionedThroughput != nil
			})
			if x.Global && !updated {
				return invalid("ProvisionedThroughput must be specified for index: %s", x.Name)
			}
		}
	}
	if in.OnDemandThroughput != nil {
		if err := checkOnDemand(row.PayPerRequest, in.OnDemandThroughput, "table"); err != nil {
			return err
		}
		row.OnDemand = newOnDemand(in.OnDemandThroughput)
	}
	return nil
}

// freeForThroughput refuses a change of the table's throughput while an index goes.
func (row *tableRow) freeForThroughput() error {
	for _, x := range row.Indexes {
		if x.Status == indexDeleting {
			return inUse("Can't change table IOPS when an index is being deleted. Table: %s Indexes: [%s]", row.Name, x.Name)
		}
	}
	return nil
}

func unchanged(what, kind string, t *throughput) error {
	return awserr.Validation("The provisioned throughput for the %s will not change. The requested value equals the current value. "+
		"Current ReadCapacityUnits provisioned for the %s: %d. Requested ReadCapacityUnits: %d. Current WriteCapacityUnits "+
		"provisioned for the %s: %d. Requested WriteCapacityUnits: %d. Refer to the Amazon DynamoDB Developer Guide for current "+
		"limits and how to request higher limits.", what, kind, t.Read, t.Read, kind, t.Write, t.Write)
}

// mayDecrease refuses a decrease that comes too soon.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html#limits-throughput-decrease
func (t *throughput) mayDecrease(read, write int64, now time.Time) error {
	if read >= t.Read && write >= t.Write || !sameDay(t.Decreased, now) || t.Decreases < freeDecreases || now.Sub(t.Decreased) >= decreasePause {
		return nil
	}
	return limitExceeded("Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the first "+
		"%d decreases, each subsequent decrease in the same UTC day can be performed at most once every %d seconds. Number of decreases today: "+
		"%d. Last decrease at %s. Next decrease can be made at %s", freeDecreases, int(decreasePause.Seconds()), t.Decreases,
		formatTime(t.Decreased), formatTime(t.Decreased.Add(decreasePause)))
}

func sameDay(a, b time.Time) bool {
	return a.UTC().Year() == b.UTC().Year() && a.UTC().YearDay() == b.UTC().YearDay()
}

// change records new throughput.
func (t *throughput) change(read, write int64, now time.Time) {
	if read > t.Read || write > t.Write {
		t.Increased = now
	}
	if read < t.Read || write < t.Write {
		if !sameDay(t.Decreased, now) {
			t.Decreases = 0
		}
		t.Decreases++
		t.Decreased = now
	}
	t.Read, t.Write = read, write
}

// updateIndexes adds, changes and removes indexes. It returns the job that goes on with it, nil if there is none.
func (row *tableRow) updateIndexes(tx kv.Tx, sc scope, in *api.UpdateTableInput) (work []byte, err error) {
	row.Indexes = slices.Clone(row.Indexes)
	seen := map[string]bool{}
	for i := range in.GlobalSecondaryIndexUpdates {
		u := &in.GlobalSecondaryIndexUpdates[i]
		var name string
		switch {
		case u.Create != nil:
			name = *u.Create.IndexName
			work, err = row.createIndex(tx, sc, u.Create, in.AttributeDefinitions)
		case u.Update != nil:
			name = *u.Update.IndexName
			err = row.updateIndex(u.Update, tx.Now())
		default:
			name = *u.Delete.IndexName
			work, err = row.deleteIndex(tx, sc, name)
		}
		if err == nil && seen[name] {
			err = invalid("Only one global secondary index update per index is allowed simultaneously. Index: %s", name)
		}
		if err != nil {
			return nil, err
		}
		seen[name] = true
	}
	return work, nil
}

// createIndex adds an index to a table that has items, and a job that fills it.
func (row *tableRow) createIndex(tx kv.Tx, sc scope, in *api.CreateGlobalSecondaryIndexAction, defs []api.AttributeDefinition) ([]byte, error) {
	switch x := row.index(*in.IndexName); {
	case x != nil && x.Status == indexDeleting:
		return nil, inUse("Index is being deleted. Table: %s Index: %s", row.Name, x.Name)
	case x != nil:
		return nil, awserr.Validation("Attempting to create an index which already exists")
	case row.indexInWork(""):
		return nil, oneIndex()
	}
	count := 0
	for _, x := range row.Indexes {
		if x.Global {
			count++
		}
	}
	if count >= maxGlobalIndexes {
		return nil, limitExceeded("Subscriber limit exceeded: GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobalIndexes)
	}
	// What the table's keys have already stays as it is; what no key needs is ignored.
	row.Attributes = slices.Clone(row.Attributes)
	for _, k := range in.KeySchema {
		if slices.ContainsFunc(row.Attributes, func(a attribute) bool { return a.Name == *k.AttributeName }) {
			continue
		}
		i := slices.IndexFunc(defs, func(d api.AttributeDefinition) bool { return *d.AttributeName == *k.AttributeName })
		if i < 0 && len(defs) == 0 {
			return nil, invalid("AttributeDefinitions is not specified for index: %s", *in.IndexName)
		}
		if i >= 0 {
			row.Attributes = append(row.Attributes, attribute{*defs[i].AttributeName, *defs[i].AttributeType})
		}
	}
	if err := row.checkIndexThroughput(*in.IndexName, in.ProvisionedThroughput); err != nil {
		return nil, err
	}
	x := &index{Name: *in.IndexName, Global: true, Status: indexCreating, Throughput: newThroughput(in.ProvisionedThroughput)}
	if err := row.setIndexLimits(x, in.OnDemandThroughput, in.WarmThroughput); err != nil {
		return nil, err
	}
	number := row.NextIndex
	if err := row.addIndex(x, in.KeySchema, in.Projection); err != nil {
		return nil, err
	}
	if err := row.checkIndexes(); err != nil {
		return nil, err
	}
	return addJob(tx, &jobRow{Kind: jobFillIndex, Account: sc.account, Region: sc.region, Table: row.Name, TableID: row.ID, Index: number})
}

// setIndexLimits records the throughput settings of an index that only on-demand tables have.
func (row *tableRow) setIndexLimits(x *index, o *api.OnDemandThroughput, w *api.WarmThroughput) error {
	if o != nil {
		if err := checkOnDemand(row.PayPerRequest, o, "index : "+x.Name); err != nil {
			return err
		}
		x.OnDemand = newOnDemand(o)
	}
	if w != nil {
		return row.warm("index "+x.Name, &x.Warm, w, row.PayPerRequest, &x.Throughput)
	}
	return nil
}

// indexInWork reports whether an index other than that with the name comes or goes.
func (row *tableRow) indexInWork(but string) bool {
	return slices.ContainsFunc(row.Indexes, func(x index) bool { return x.Status != "" && x.Name != but })
}

// globalIndex returns an index that UpdateTable can change.
func (row *tableRow) globalIndex(name, verb string) (*index, error) {
	switch x := row.index(name); {
	case x == nil:
		return nil, &api.ResourceNotFoundException{Message: new("Requested resource not found: Index: " + name + " for table: " + row.Name + " not found")}
	case !x.Global:
		return nil, awserr.Validation("Cannot %s an index that is not a GlobalSecondaryIndex: %s", verb, name)
	default:
		return x, nil
	}
}

func (row *tableRow) updateIndex(in *api.UpdateGlobalSecondaryIndexAction, now time.Time) error {
	x, err := row.globalIndex(*in.IndexName, "update")
	if err != nil {
		return err
	}
	if x.Status == indexDeleting {
		return inUse("Index is being deleted. Table: %s Index: %s", row.Name, x.Name)
	}
	if t := in.ProvisionedThroughput; t != nil {
		if row.PayPerRequest {
			return invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: %s when BillingMode is PAY_PER_REQUEST", x.Name)
		}
		if err := row.checkIndexThroughput(x.Name, t); err != nil {
			return err
		}
		next := newThroughput(t)
		if next.Read == x.Throughput.Read && next.Write == x.Throughput.Write {
			return unchanged("index "+x.Name, "index", &x.Throughput)
		}
		if x.Throughput.Read > 0 {
			if err := x.Throughput.mayDecrease(next.Read, next.Write, now); err != nil {
				return err
			}
		}
		x.Throughput.change(next.Read, next.Write, now)
	} else if in.OnDemandThroughput == nil && in.WarmThroughput == nil {
		if row.PayPerRequest {
			return invalid("The only Updates for index: %s when TableThroughputMode is PAY_PER_REQUEST can be to OnDemandThroughput, WarmThroughput", x.Name)
		}
		return invalid("Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: %s", x.Name)
	}
	return row.setIndexLimits(x, in.OnDemandThroughput, in.WarmThroughput)
}

// deleteIndex marks an index as going, which nobody reads or writes any more, and adds a job that empties it.
func (row *tableRow) deleteIndex(tx kv.Tx, sc scope, name string) ([]byte, error) {
	x, err := row.globalIndex(name, "delete")
	switch {
	case err != nil:
		return nil, err
	case x.Status == indexDeleting:
		return nil, inUse("Index is being deleted. Table: %s Index: %s", row.Name, x.Name)
	case row.indexInWork(name):
		return nil, oneIndex()
	}
	x.Status = indexDeleting
	return addJob(tx, &jobRow{Kind: jobEmptyIndex, Account: sc.account, Region: sc.region, Table: row.Name, TableID: row.ID, Index: x.Number})
}

// pruneAttributes drops the definitions of attributes that no key has any more.
func (row *tableRow) pruneAttributes() {
	row.Attributes = slices.DeleteFunc(slices.Clone(row.Attributes), func(a attribute) bool {
		return !row.Key.has(a.Name) && !slices.ContainsFunc(row.Indexes, func(x index) bool { return x.Key.has(a.Name) })
	})
}

// checkOnDemand checks the limits of an on-demand table or index.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_OnDemandThroughput.html
func checkOnDemand(payPerRequest bool, in *api.OnDemandThroughput, what string) error {
	for _, part := range [...]struct {
		name  string
		value *int64
	}{{"MaxReadRequestUnits", in.MaxReadRequestUnits}, {"MaxWriteRequestUnits", in.MaxWriteRequestUnits}} {
		switch {
		case part.value == nil:
		case !payPerRequest:
			suffix := ""
			if what != "table" {
				suffix = " for " + what
			}
			return invalid("%s for OnDemandThroughput%s cannot be specified when the table BillingMode is PROVISIONED", part.name, suffix)
		case *part.value < 1 && *part.value != -1:
			return invalid("Requested %s for OnDemandThroughput for %s is outside of valid range", part.name, what)
		}
	}
	return nil
}

// What a table or index can take at once unless it was warmed.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html
const (
	warmReads  = 12_000
	warmWrites = 4_000
)

// warm records warm throughput, which can only grow.
func (row *tableRow) warm(what string, to **warmThroughput, in *api.WarmThroughput, payPerRequest bool, t *throughput) error {
	now := (*to).effective(payPerRequest, t)
	next := now
	for _, part := range [...]struct {
		name string
		in   *int64
		to   *int64
	}{{"ReadUnitsPerSecond", in.ReadUnitsPerSecond, &next.Read}, {"WriteUnitsPerSecond", in.WriteUnitsPerSecond, &next.Write}} {
		if part.in == nil {
			continue
		}
		if *part.in < *part.to {
			return invalid("Requested %s for WarmThroughput for %s is lower than current WarmThroughput, decreasing WarmThroughput is not supported",
				part.name, what)
		}
		*part.to = *part.in
	}
	*to = &next
	return nil
}

// effective is what a table or index can take at once.
func (w *warmThroughput) effective(payPerRequest bool, t *throughput) warmThroughput {
	out := warmThroughput{t.Read, t.Write}
	if payPerRequest {
		out = warmThroughput{warmReads, warmWrites}
	}
	if w != nil {
		out.Read, out.Write = max(out.Read, w.Read), max(out.Write, w.Write)
	}
	return out
}

// mayBeDeleted refuses to delete a table that is still worked on.
func (row *tableRow) mayBeDeleted() error {
	switch {
	case row.Status != "":
		return inUse("Attempt to change a resource which is still in use: Table is being created: %s", row.Name)
	case len(row.Holds) > 0:
		return inUse("Attempt to change a resource which is still in use: Table is being backed up or restored: %s", row.Name)
	case row.indexInWork(""):
		var names []string
		for _, x := range row.Indexes {
			if x.Status != "" {
				names = append(names, x.Name)
			}
		}
		return inUse("Attempt to change a resource which is still in use: Cannot delete table while indexes are being created, updated, or deleted. "+
			"Table: %s Indexes: [%s]", row.Name, strings.Join(names, ", "))
	}
	return nil
}

package dynamodb

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
	"brume/internal/service/dynamodb/partiql"
)

// ExecuteStatement runs one PartiQL statement.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExecuteStatement.html
func (s *Service) ExecuteStatement(ctx context.Context, in *api.ExecuteStatementInput) (*api.ExecuteStatementOutput, error) {
	sc := scopeOf(ctx)
	stmt, err := partiql.Parse(*in.Statement, in.Parameters)
	if err != nil {
		return nil, err
	}
	switch stmt := stmt.(type) {
	case *partiql.Select:
		return s.selectItems(ctx, sc, stmt, in)
	case *partiql.Exists:
		return nil, awserr.Validation("EXISTS is only supported in ExecuteTransaction.")
	}
	if in.NextToken != nil {
		return nil, invalidToken()
	}
	out := &api.ExecuteStatementOutput{Items: []map[string]api.AttributeValue{}}
	table, m, used, err := s.runWrite(ctx, sc, stmt, in.ReturnValuesOnConditionCheckFailure, in.ReturnConsumedCapacity)
	if err != nil {
		return nil, err
	}
	if m != nil {
		out.Items = append(out.Items, m)
	}
	if used != nil {
		out.ConsumedCapacity = used.output()
		out.ConsumedCapacity.TableName = &table
	}
	return out, nil
}

// runWrite carries a statement out in a transaction of its own. It returns what RETURNING asks for, nil for nothing.
func (s *Service) runWrite(ctx context.Context, sc scope, stmt partiql.Statement, onFailure, wanted *string) (table string, m item.Map, used *consumption, err error) {
	var w *statementWrite
	err = s.view(ctx, func(r kv.Reader) (err error) {
		w, err = s.planWrite(r, sc, stmt, onFailure)
		return err
	})
	if err != nil {
		return "", nil, nil, err
	}
	err = s.write(ctx, func(tx *writeTx) error {
		used = newConsumption(wanted, w.table)
		result, err := w.run(s, tx, sc, used)
		if err != nil {
			return err
		}
		m, err = w.returned(w.returning, result)
		return err
	})
	return w.table, m, used, err
}

// A selectPlan is a SELECT that is about to run on a table.
type selectPlan struct {
	*keyPlan
	page  *page
	table *table
	index *index
	// reverse is the direction of the sort key.
	reverse bool
}

// planSelect checks a SELECT, as far as it can before it knows the table.
func planSelect(stmt *partiql.Select) error {
	_, err := statementPredicate(stmt.Where.Conjuncts())
	return err
}

func (s *Service) planSelect(r kv.Reader, sc scope, name string, stmt *partiql.Select, consistent *bool) (*selectPlan, error) {
	t, err := s.table(r, sc, name)
	if err != nil {
		return nil, err
	}
	plan := &selectPlan{table: t, page: &page{consistent: deref(consistent)}}
	k := &t.Key
	if stmt.Index != nil {
		if plan.index = t.index(*stmt.Index); plan.index == nil {
			return nil, awserr.Validation("The table does not have the specified index")
		}
		if plan.index.Global && plan.page.consistent {
			return nil, awserr.Validation("Strongly consistent read is not supported on Global Secondary Indexes")
		}
		plan.page.indexName = stmt.Index
		if _, err := plan.page.index(t); err != nil {
			return nil, err
		}
		k = &plan.index.Key
	}
	if plan.keyPlan, err = planKey(k, stmt.Where); err != nil {
		return nil, err
	}
	if err := plan.checkProjected(stmt); err != nil {
		return nil, err
	}
	if plan.page.filter, err = statementPredicate(plan.rest); err != nil {
		return nil, err
	}
	var heads []expression.Path
	for _, path := range stmt.Paths {
		heads = append(heads, path[:1])
	}
	plan.page.selection = selectionOf(heads)
	return plan, plan.order(k, stmt)
}

// checkProjected refuses attributes that the index does not hold: any in a condition, and those that a global index would
// have to return.
func (plan *selectPlan) checkProjected(stmt *partiql.Select) error {
	x := plan.index
	if x == nil {
		return nil
	}
	missing := func(list []string, name string) []string {
		if !plan.table.projects(x, name) {
			list = append(list, name)
		}
		return list
	}
	var filtered, selected []string
	for _, e := range plan.rest {
		e.Attributes(func(name string) { filtered = missing(filtered, name) })
	}
	for _, path := range stmt.Paths {
		selected = missing(selected, path.Head())
	}
	if x.Global && len(selected) > 0 {
		return invalid("Global secondary index %s does not project [%s]", x.Name, strings.Join(selected, ", "))
	}
	if len(filtered) > 0 {
		return unprojectedFilter(x, filtered)
	}
	return nil
}

// order takes ORDER BY, which may name the partition key and the sort key.
func (plan *selectPlan) order(k *keySchema, stmt *partiql.Select) error {
	if len(stmt.Order) == 0 {
		return nil
	}
	if stmt.Where == nil {
		return awserr.Validation("Must have WHERE clause in the statement when using ORDER BY clause.")
	}
	if plan.partitions == nil {
		return awserr.Validation("Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.")
	}
	sorted := false
	for _, o := range stmt.Order {
		switch {
		case !k.has(o.Attribute):
			return awserr.Validation("Variable reference %s in ORDER BY clause must be part of the primary key", o.Attribute)
		case o.Attribute == k.Hash[0].Name && len(k.Hash) == 1:
			sorted = true
			slices.SortStableFunc(plan.partitions, func(a, b item.Map) int {
				if o.Descending {
					a, b = b, a
				}
				order, _ := item.Compare(a[o.Attribute], b[o.Attribute])
				return order
			})
		case len(k.Range) > 0 && o.Attribute == k.Range[0].Name:
			if len(plan.partitions) > 1 && !sorted {
				return awserr.Validation("ORDER BY the sort key alone needs one partition key")
			}
			plan.reverse = o.Descending
		}
	}
	return nil
}

// ranges are the rows that the statement reads, in their order.
func (plan *selectPlan) ranges() []kv.Range {
	prefix := slices.Clip(plan.table.rows(plan.index)) // several partitions begin with it
	if plan.partitions == nil {
		return []kv.Range{kv.Prefix(prefix)}
	}
	k := &plan.table.Key
	if plan.index != nil {
		k = &plan.index.Key
	}
	var out []kv.Range
	for _, m := range plan.partitions {
		_, rng := keyRange(prefix, k, append(ownPartition(k, m), plan.sort...))
		rng.Reverse = plan.reverse
		out = append(out, rng)
	}
	return out
}

// selectItems reads a page of what a SELECT selects.
func (s *Service) selectItems(ctx context.Context, sc scope, stmt *partiql.Select, in *api.ExecuteStatementInput) (*api.ExecuteStatementOutput, error) {
	name, err := sc.tableName(&stmt.Table)
	if err != nil {
		return nil, err
	}
	if err := planSelect(stmt); err != nil {
		return nil, err
	}
	at, start, err := decodeToken(in)
	if err != nil {
		return nil, err
	}
	var out *api.ExecuteStatementOutput
	err = s.view(ctx, func(r kv.Reader) error {
		out = &api.ExecuteStatementOutput{Items: []map[string]api.AttributeValue{}}
		plan, err := s.planSelect(r, sc, name, stmt, in.ConsistentRead)
		if err != nil {
			return err
		}
		ranges := plan.ranges()
		if at > len(ranges) {
			return invalidToken()
		}
		used := newConsumption(in.ReturnConsumedCapacity, name)
		limit, size := int(deref(in.Limit)), 0
		for i := at; i < len(ranges); i++ {
			rng := ranges[i]
			if i == at && start != nil {
				if rng, err = plan.resume(rng, start); err != nil {
					return err
				}
			}
			plan.page.limit = limit
			f, err := plan.page.read(r, plan.table, plan.index, rng, used)
			if err != nil {
				return err
			}
			for _, m := range f.items {
				out.Items = append(out.Items, selected(m, stmt.Paths))
			}
			size += f.size
			if limit > 0 {
				limit -= int(f.scanned)
			}
			if f.last != nil {
				out.NextToken = encodeToken(in, i, f.last)
				out.LastEvaluatedKey = f.last
				break
			}
			if i+1 < len(ranges) && (size >= maxPageSize || in.Limit != nil && limit <= 0) {
				out.NextToken = encodeToken(in, i+1, nil)
				break
			}
		}
		out.ConsumedCapacity = used.output()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// resume restricts a range to what comes after the row of a token.
func (plan *selectPlan) resume(rng kv.Range, start item.Map) (kv.Range, error) {
	plan.page.start = start
	if !plan.page.hasStartSize(plan.table, plan.index) || plan.page.checkStartKey(plan.table) != nil {
		return rng, invalidToken()
	}
	if plan.index != nil {
		for i, part := range [...][]attribute{plan.index.Key.Hash, plan.index.Key.Range} {
			for _, a := range part {
				if plan.page.checkStartPart(a, i == 0) != nil {
					return rng, invalidToken()
				}
			}
		}
	}
	key := plan.page.startRow(plan.table, plan.index)
	if !contains(rng, key) {
		return rng, invalidToken()
	}
	return after(rng, key), nil
}

// selected is what the select list takes of an item: each path gives an attribute that is named as its last part is.
func selected(m item.Map, paths []expression.Path) item.Map {
	if paths == nil {
		return m
	}
	out := make(item.Map, len(paths))
	for _, path := range paths {
		if v := path.Value(m); v != nil {
			out[lastName(path)] = v
		}
	}
	return out
}

func lastName(path expression.Path) string {
	indexes := ""
	for i := len(path) - 1; ; i-- {
		if path[i].Name != "" {
			return path[i].Name + indexes
		}
		indexes = "[" + strconv.Itoa(path[i].Index) + "]" + indexes
	}
}

func invalidToken() error { return awserr.Validation("NextToken does not match request") }

// tokenVersion begins a NextToken. Behind it come the hash of the statement, the number of the range that is read and, if
// some of it was, the key of the last row.
const tokenVersion = 1

// statementHash tells statements apart, with their parameters.
func statementHash(in *api.ExecuteStatementInput) []byte {
	h := sha256.New()
	h.Write([]byte(*in.Statement))
	for _, v := range in.Parameters {
		h.Write(append([]byte{0}, item.AppendValue(nil, v)...))
	}
	return h.Sum(nil)[:16]
}

func encodeToken(in *api.ExecuteStatementInput, at int, last item.Map) *string {
	b := append([]byte{tokenVersion}, statementHash(in)...)
	b = binary.AppendUvarint(b, uint64(at))
	if last != nil {
		b = item.Append(b, last, item.Size(last))
	}
	return new(base64.StdEncoding.EncodeToString(b))
}

func decodeToken(in *api.ExecuteStatementInput) (at int, last item.Map, err error) {
	if in.NextToken == nil {
		return 0, nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(*in.NextToken)
	prefix := append([]byte{tokenVersion}, statementHash(in)...)
	if err != nil || len(b) < len(prefix) || string(b[:len(prefix)]) != string(prefix) {
		return 0, nil, invalidToken()
	}
	b = b[len(prefix):]
	v, n := binary.Uvarint(b)
	if n <= 0 || v > maxStatementKeys {
		return 0, nil, invalidToken()
	}
	if b = b[n:]; len(b) == 0 {
		return int(v), nil, nil
	}
	if last, err = item.Decode(b); err != nil || item.CanonicalMap(last) != nil {
		return 0, nil, invalidToken()
	}
	return int(v), last, nil
}

// BatchExecuteStatement runs up to 25 statements, each for itself; all read or all write.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html
func (s *Service) BatchExecuteStatement(ctx context.Context, in *api.BatchExecuteStatementInput) (*api.BatchExecuteStatementOutput, error) {
	sc := scopeOf(ctx)
	statements := make([]partiql.Statement, len(in.Statements))
	faults := make([]error, len(in.Statements))
	reads, writes := 0, 0
	for i, one := range in.Statements {
		if statements[i], faults[i] = partiql.Parse(*one.Statement, one.Parameters); faults[i] != nil {
			continue
		}
		if _, ok := statements[i].(*partiql.Select); ok {
			reads++
		} else {
			writes++
		}
	}
	if reads > 0 && writes > 0 {
		return nil, awserr.Validation("A batch cannot contain both read and write statements.")
	}
	out := &api.BatchExecuteStatementOutput{Responses: make([]api.BatchStatementResponse, len(in.Statements))}
	all := consumptions{wanted: in.ReturnConsumedCapacity}
	for i, stmt := range statements {
		err := faults[i]
		one, answer := in.Statements[i], &out.Responses[i]
		if err == nil {
			err = s.runOfBatch(ctx, sc, stmt, one, answer, &all)
		}
		if err != nil {
			known, ok := errors.AsType[awserr.Error](err)
			if !ok || known.HTTPStatus() >= 500 {
				return nil, err
			}
			answer.Item = nil
			answer.Error = batchError(known)
		}
	}
	out.ConsumedCapacity = all.output()
	return out, nil
}

func (s *Service) runOfBatch(ctx context.Context, sc scope, stmt partiql.Statement, one api.BatchStatementRequest,
	answer *api.BatchStatementResponse, all *consumptions) error {
	switch stmt := stmt.(type) {
	case *partiql.Select:
		return s.view(ctx, func(r kv.Reader) error {
			name, err := sc.tableName(&stmt.Table)
			if err != nil {
				return err
			}
			const needsKey = "Select statements within BatchExecuteStatement must specify the primary key in the where clause."
			m, size, err := s.selectOne(r, sc, name, stmt, needsKey)
			if err != nil {
				return err
			}
			answer.TableName, answer.Item = &name, m
			all.of(name).add(readUnits(size, deref(one.ConsistentRead)))
			return nil
		})
	case *partiql.Exists:
		return awserr.Validation("EXISTS is only supported in ExecuteTransaction.")
	}
	table, m, used, err := s.runWrite(ctx, sc, stmt, one.ReturnValuesOnConditionCheckFailure, all.wanted)
	if err != nil {
		return err
	}
	answer.TableName, answer.Item = &table, m
	all.of(table).addTimes(1, used)
	return nil
}

// selectOne reads the one item that a SELECT names by its key, nil if there is none or it does not meet the conditions.
// size is that of the item.
func (s *Service) selectOne(r kv.Reader, sc scope, name string, stmt *partiql.Select, needsKey string) (m item.Map, size int, err error) {
	if err := planSelect(stmt); err != nil {
		return nil, 0, err
	}
	t, err := s.table(r, sc, name)
	if err != nil {
		return nil, 0, err
	}
	plan, err := planKey(&t.Key, stmt.Where)
	if err != nil {
		return nil, 0, err
	}
	key := plan.key(&t.Key)
	if key == nil || stmt.Index != nil {
		return nil, 0, awserr.Validation("%s", needsKey)
	}
	row, ok, err := r.Get(t.itemKey(key))
	if err != nil || !ok {
		return nil, 0, err
	}
	if size, err = item.Encoded(row).Size(); err != nil {
		return nil, 0, err
	}
	filter, err := statementPredicate(plan.rest)
	if err != nil {
		return nil, 0, err
	}
	if filter != nil {
		if ok, err := filter.Eval(item.Encoded(row)); err != nil || !ok {
			return nil, size, err
		}
	}
	if m, err = item.Decode(row); err != nil {
		return nil, 0, err
	}
	return selected(m, stmt.Paths), size, nil
}

// batchError is what an error is in the response of a batch.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchStatementError.html
func batchError(err awserr.Error) *api.BatchStatementError {
	code := strings.TrimSuffix(err.ErrorCode(), "Exception")
	if code == "Validation" {
		code = api.BatchStatementErrorCodeEnumValidationError
	}
	out := &api.BatchStatementError{Code: &code, Message: new(err.ErrorMessage())}
	if failed, ok := err.(*api.ConditionalCheckFailedException); ok {
		out.Item = failed.Item
	}
	return out
}

// ExecuteTransaction runs up to 100 statements, all or none; all read or all write.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExecuteTransaction.html
func (s *Service) ExecuteTransaction(ctx context.Context, in *api.ExecuteTransactionInput) (*api.ExecuteTransactionOutput, error) {
	sc := scopeOf(ctx)
	statements := make([]partiql.Statement, len(in.TransactStatements))
	hash := sha256.New()
	reads := 0
	for i, one := range in.TransactStatements {
		stmt, err := partiql.Parse(*one.Statement, one.Parameters)
		if err == nil {
			err = checkTransacted(stmt)
		}
		if err != nil {
			return nil, ofTransaction(i, err)
		}
		statements[i] = stmt
		if _, ok := stmt.(*partiql.Select); ok {
			reads++
		}
		hash.Write(statementHash(&api.ExecuteStatementInput{Statement: one.Statement, Parameters: one.Parameters}))
	}
	switch reads {
	case 0:
		return s.transactStatements(ctx, sc, statements, in, hash.Sum(nil))
	case len(statements):
		return s.transactSelects(ctx, sc, statements, in)
	}
	return nil, awserr.Validation("ExecuteTransaction API does not support both read and write operations in the same request.")
}

// checkTransacted refuses what no statement of a transaction may have.
func checkTransacted(stmt partiql.Statement) error {
	returning := ""
	switch stmt := stmt.(type) {
	case *partiql.Update:
		returning = stmt.Returning
	case *partiql.Delete:
		returning = stmt.Returning
	}
	if returning != "" {
		return awserr.Validation("RETURNING clause is not supported in ExecuteTransaction.")
	}
	if _, index := stmt.Source(); index != nil {
		return awserr.Validation("Reads on indices are not supported within transactions.")
	}
	return nil
}

// ofTransaction says in which statement of a transaction something is wrong.
func ofTransaction(i int, err error) error {
	if !isValidation(err) {
		return err
	}
	return awserr.Validation("Validation failed in TransactStatements[%d]: %s", i, message(err))
}

func (s *Service) transactStatements(ctx context.Context, sc scope, statements []partiql.Statement, in *api.ExecuteTransactionInput, fingerprint []byte) (*api.ExecuteTransactionOutput, error) {
	writes := make([]*write, len(statements))
	err := s.view(ctx, func(r kv.Reader) error {
		for i, stmt := range statements {
			w, err := s.planWrite(r, sc, stmt, in.TransactStatements[i].ReturnValuesOnConditionCheckFailure)
			if err != nil {
				return ofTransaction(i, err)
			}
			writes[i] = w.write
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	consumed, err := s.transact(ctx, sc, writes, in.ReturnConsumedCapacity, in.ClientRequestToken, fingerprint)
	if err != nil {
		return nil, err
	}
	return &api.ExecuteTransactionOutput{ConsumedCapacity: consumed}, nil
}

func (s *Service) transactSelects(ctx context.Context, sc scope, statements []partiql.Statement, in *api.ExecuteTransactionInput) (*api.ExecuteTransactionOutput, error) {
	var out *api.ExecuteTransactionOutput
	err := s.view(ctx, func(r kv.Reader) error {
		out = &api.ExecuteTransactionOutput{Responses: make([]api.ItemResponse, len(statements))}
		all := consumptions{wanted: in.ReturnConsumedCapacity, kind: transactReads}
		total := 0
		for i, stmt := range statements {
			stmt := stmt.(*partiql.Select)
			name, err := sc.tableName(&stmt.Table)
			if err != nil {
				return ofTransaction(i, err)
			}
			const needsKey = "Select statements within ExecuteTransaction must specify the primary key in the where clause."
			m, size, err := s.selectOne(r, sc, name, stmt, needsKey)
			if err != nil {
				return ofTransaction(i, err)
			}
			if total += size; total > maxTransactSize {
				return awserr.Validation("Collection size of the items in the transaction exceeds the limit of 4 MB")
			}
			out.Responses[i].Item = m
			all.of(name).add(transactFactor * readUnits(size, true))
		}
		out.ConsumedCapacity = all.output()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

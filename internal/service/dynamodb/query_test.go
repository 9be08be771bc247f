package dynamodb

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/item"
)

// query runs a query and returns its items as text.
func (b *bench) query(in api.QueryInput) (string, *api.QueryOutput, error) {
	b.Helper()
	if in.TableName == nil {
		in.TableName = new("table")
	}
	out, err := b.Query(b.ctx, &in)
	if err != nil {
		return "", nil, err
	}
	return showAll(out.Items), out, nil
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html
func TestQueryConditions(t *testing.T) {
	b := newBench(t)
	for typ, values := range map[string][]api.AttributeValue{
		"N": {api.N("-10"), api.N("-1"), api.N("0"), api.N("0.5"), api.N("9"), api.N("10")},
		"S": {api.S("A"), api.S("a"), api.S("a\x00"), api.S("a\x00b"), api.S("ab"), api.S("é")},
		"B": {api.B{0}, api.B{0, 0}, api.B{0, 1}, api.B{1}, api.B{0xff}, api.B{0xff, 0}},
	} {
		table := "table" + typ
		b.create(table, "pk:S,sk:"+typ)
		for _, pk := range []string{"a", "a\x00", "b"} {
			for _, i := range rand.Perm(len(values)) {
				b.put(table, M{"pk": api.S(pk), "sk": values[i], "i": api.N(fmt.Sprint(i))})
			}
		}
		query := func(cond string, reverse bool, values M) string {
			values[":pk"] = api.S("a")
			in := api.QueryInput{
				TableName: &table, KeyConditionExpression: new("pk = :pk" + cond), ExpressionAttributeValues: values,
				ProjectionExpression: new("i"),
			}
			if reverse {
				in.ScanIndexForward = new(false)
			}
			got, _, err := b.query(in)
			if err != nil {
				t.Fatalf("%s %s: %v", typ, cond, err)
			}
			return strings.NewReplacer("{i=", "", "}", "").Replace(got)
		}
		for i, v := range values {
			for j, w := range values {
				for cond, holds := range map[string]func(k int) bool{
					"":                          func(int) bool { return true },
					" AND sk = :v":              func(k int) bool { return k == i },
					" AND sk < :v":              func(k int) bool { return k < i },
					" AND sk <= :v":             func(k int) bool { return k <= i },
					" AND :v < sk":              func(k int) bool { return k > i },
					" AND sk >= :v":             func(k int) bool { return k >= i },
					" AND sk BETWEEN :v AND :w": func(k int) bool { return k >= i && k <= j },
					" AND begins_with(sk, :v)":  func(k int) bool { return hasPrefix(values[k], v) },
				} {
					if strings.Contains(cond, ":w") && j < i || strings.Contains(cond, "begins") && typ == "N" ||
						!strings.Contains(cond, ":w") && j > 0 {
						continue
					}
					var want []string
					for k := range values {
						if holds(k) {
							want = append(want, fmt.Sprint(k))
						}
					}
					params := M{}
					if strings.Contains(cond, ":v") {
						params[":v"] = v
					}
					if strings.Contains(cond, ":w") {
						params[":w"] = w
					}
					if got := query(cond, false, params); got != strings.Join(want, " ") {
						t.Errorf("%s %s with %v, %v: got %s, want %v", typ, cond, v, w, got, want)
					}
					slices.Reverse(want)
					if got := query(cond, true, params); got != strings.Join(want, " ") {
						t.Errorf("%s reverse %s with %v, %v: got %s, want %v", typ, cond, v, w, got, want)
					}
				}
			}
		}
	}
}

func hasPrefix(v, prefix api.AttributeValue) bool {
	switch v := v.(type) {
	case api.S:
		return strings.HasPrefix(string(v), string(prefix.(api.S)))
	case api.B:
		return strings.HasPrefix(string(v), string(prefix.(api.B)))
	}
	return false
}

func TestQueryValidation(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N", "gsi g:S KEYS_ONLY", "local lsi pk:S,l:S KEYS_ONLY")
	b.create("hash", "pk:S")
	values := func(names string) M {
		m := M{}
		for _, n := range strings.Fields(names) {
			m[":"+n] = map[string]api.AttributeValue{"s": api.S("x"), "n": api.N("1"), "e": api.S("")}[n]
		}
		return m
	}
	const v = "ValidationException: "
	for _, c := range []struct {
		in   api.QueryInput
		vals string
		err  string
	}{
		{api.QueryInput{}, "", v + "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."},
		{api.QueryInput{KeyConditionExpression: new("sk = :n")}, "n", v + "Query condition missed key schema element: pk"},
		{api.QueryInput{KeyConditionExpression: new("pk < :s")}, "s", v + "Query key condition not supported"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s AND x = :s")}, "s", v + "Query condition missed key schema element: sk"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s AND sk = :n AND x = :s")}, "s n", v + "Conditions can be of length 1 or 2 only"},
		{api.QueryInput{TableName: new("hash"), KeyConditionExpression: new("pk = :s AND x = :s")}, "s", v + "Query key condition not supported"},
		{api.QueryInput{KeyConditionExpression: new("pk = :n")}, "n", invalidParams + "Condition parameter type does not match schema type"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s AND sk > :s")}, "s", invalidParams + "Condition parameter type does not match schema type"},
		{api.QueryInput{KeyConditionExpression: new("pk = :e")}, "e", v + "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s OR sk = :n")}, "s n", v + "Invalid operator used in KeyConditionExpression: OR"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s"), FilterExpression: new("sk > :n")}, "s n", v + "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk"},
		{api.QueryInput{KeyConditionExpression: new("g = :s"), IndexName: new("gsi"), FilterExpression: new("sk > :n")}, "s n", "no error"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s"), IndexName: new("nope")}, "s", v + "The table does not have the specified index: nope"},
		{api.QueryInput{KeyConditionExpression: new("g = :s"), IndexName: new("gsi"), ConsistentRead: new(true)}, "s", v + "Consistent reads are not supported on global secondary indexes"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s"), IndexName: new("lsi"), ConsistentRead: new(true)}, "s", "no error"},
		{api.QueryInput{KeyConditionExpression: new("g = :s"), IndexName: new("gsi"), Select: new("ALL_ATTRIBUTES")}, "s", invalidParams + "Select type ALL_ATTRIBUTES is not supported for global secondary index gsi because its projection type is not ALL"},
		{api.QueryInput{KeyConditionExpression: new("g = :s"), IndexName: new("gsi"), ProjectionExpression: new("x")}, "s", invalidParams + "Global secondary index gsi does not project [x]"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s"), Select: new("ALL_PROJECTED_ATTRIBUTES")}, "s", v + "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s"), Select: new("SPECIFIC_ATTRIBUTES")}, "s", v + "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s"), Select: new("COUNT"), ProjectionExpression: new("a")}, "s", v + "Cannot specify the ProjectionExpression when choosing to get only the Count"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s"), Select: new("ALL_ATTRIBUTES"), ProjectionExpression: new("a")}, "s", v + "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s"), ExclusiveStartKey: M{"pk": api.S("x")}}, "s", v + "The provided starting key is invalid"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s"), ExclusiveStartKey: M{"pk": api.S("x"), "sk": api.S("1")}}, "s", v + "The provided key element does not match the schema"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s"), ExclusiveStartKey: M{"pk": api.S("y"), "sk": api.N("1")}}, "s", v + "The provided starting key is outside query boundaries based on provided conditions"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s AND sk > :n"), ExclusiveStartKey: M{"pk": api.S("x"), "sk": api.N("1")}}, "s n", v + "The provided starting key does not match the range key predicate"},
		{api.QueryInput{KeyConditionExpression: new("pk = :s"), IndexName: new("lsi"), ExclusiveStartKey: M{"pk": api.S("x"), "sk": api.N("1")}}, "s", v + "The provided starting key is invalid"},
	} {
		if c.vals != "" {
			c.in.ExpressionAttributeValues = values(c.vals)
		}
		_, _, err := b.query(c.in)
		wantError(t, err, c.err)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
func TestQueryPages(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N", "gsi g:S,n:N ALL")
	for i := range 10 {
		b.put("table", M{"pk": api.S("a"), "sk": api.N(fmt.Sprint(i)), "n": api.N("7"), "g": api.S("g"), "odd": api.BOOL(i%2 == 1)})
	}
	for _, c := range []struct {
		name   string
		index  *string
		key    string
		value  string
		filter *string
		want   []string // the sort keys of each page
		counts string
	}{
		{"table", nil, "pk = :k", "a", nil, []string{"0 1 2 3", "4 5 6 7", "8 9"}, "4/4 4/4 2/2"},
		{"filtered", nil, "pk = :k", "a", new("odd = :odd"), []string{"1 3", "5 7", "9"}, "2/4 2/4 1/2"},
		{"index", new("gsi"), "g = :k", "g", nil, []string{"0 1 2 3", "4 5 6 7", "8 9"}, "4/4 4/4 2/2"},
	} {
		for _, reverse := range []bool{false, true} {
			var pages, counts []string
			var start M
			for {
				in := api.QueryInput{
					KeyConditionExpression: &c.key, IndexName: c.index, Limit: new(int32(4)), FilterExpression: c.filter, ExclusiveStartKey: start,
					ExpressionAttributeValues: M{":k": api.S(c.value)}, ScanIndexForward: new(!reverse),
				}
				if c.filter != nil {
					in.ExpressionAttributeValues[":odd"] = api.BOOL(true)
				}
				_, out, err := b.query(in)
				if err != nil {
					t.Fatal(err)
				}
				var sks []string
				for _, m := range out.Items {
					sks = append(sks, string(m["sk"].(api.N)))
				}
				pages = append(pages, strings.Join(sks, " "))
				counts = append(counts, fmt.Sprintf("%d/%d", *out.Count, *out.ScannedCount))
				if start = out.LastEvaluatedKey; start == nil {
					break
				}
			}
			want := slices.Clone(c.want)
			if reverse {
				all := strings.Fields(strings.Join(want, " "))
				slices.Reverse(all)
				if got := strings.Join(strings.Fields(strings.Join(pages, " ")), " "); got != strings.Join(all, " ") {
					t.Errorf("%s reverse: got %v, want %v", c.name, got, all)
				}
				continue
			}
			if !slices.Equal(pages, want) || strings.Join(counts, " ") != c.counts {
				t.Errorf("%s: got %q %v, want %q %s", c.name, pages, counts, want, c.counts)
			}
		}
	}
	// A page that ends with its limit says so even where nothing follows.
	_, out, err := b.query(api.QueryInput{KeyConditionExpression: new("pk = :k"), ExpressionAttributeValues: M{":k": api.S("a")}, Limit: new(int32(10))})
	if err != nil || show(out.LastEvaluatedKey) != "{pk=a, sk=9}" {
		t.Errorf("limit at the end: %v, %v", out, err)
	}
	_, out, err = b.query(api.QueryInput{KeyConditionExpression: new("pk = :k"), ExpressionAttributeValues: M{":k": api.S("a")}, Select: new("COUNT")})
	if err != nil || out.Items != nil || *out.Count != 10 {
		t.Errorf("COUNT: %v, %v", out, err)
	}
	_, out, err = b.query(api.QueryInput{KeyConditionExpression: new("pk = :k"), ExpressionAttributeValues: M{":k": api.S("none")}, ReturnConsumedCapacity: new("TOTAL")})
	if err != nil || out.Items == nil || *out.Count != 0 || showCapacity(out.ConsumedCapacity) != "table 0.5" {
		t.Errorf("nothing: %v, %v", out, err)
	}
}

// A page ends with the item that fills a megabyte, filtered out or not.
func TestPageSize(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N")
	// Each item has 300,000 bytes, so the fourth fills the page.
	for i := range 6 {
		m := M{"pk": api.S("a"), "sk": api.N(fmt.Sprint(i)), "x": api.S("")}
		m["x"] = api.S(strings.Repeat("x", 300_000-item.Size(m)))
		b.put("table", m)
	}
	for _, filter := range []*string{nil, new("attribute_not_exists(x)")} {
		in := api.QueryInput{
			KeyConditionExpression: new("pk = :k"), ExpressionAttributeValues: M{":k": api.S("a")}, FilterExpression: filter,
			ReturnConsumedCapacity: new("TOTAL"),
		}
		_, out, err := b.query(in)
		if err != nil || *out.ScannedCount != 4 || show(out.LastEvaluatedKey) != "{pk=a, sk=3}" {
			t.Fatalf("got %d, %v, %v", *out.ScannedCount, show(out.LastEvaluatedKey), err)
		}
		// 1,200,000 bytes are 293 units of 4 KB, of which an eventually consistent read costs half.
		if got, want := showCapacity(out.ConsumedCapacity), "table 146.5"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
		if _, out, err = b.query(in); err != nil || *out.ScannedCount != 2 || out.LastEvaluatedKey != nil {
			t.Fatalf("the second page: %v, %v", out, err)
		}
	}
}

func (b *bench) scanAll(in api.ScanInput) []M {
	b.Helper()
	var items []M
	for {
		out := must(b.Scan(b.ctx, &in))(b)
		items = append(items, out.Items...)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return items
		}
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html#Scan.ParallelScan
func TestScan(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N", "gsi g:S ALL")
	b.create("other", "pk:S")
	b.put("other", M{"pk": api.S("x")})
	var want []string
	for i := range 40 {
		m := M{"pk": api.S(fmt.Sprint("p", i%13)), "sk": api.N(fmt.Sprint(i)), "g": api.S(fmt.Sprint(i % 7))}
		b.put("table", m)
		want = append(want, show(m))
	}
	slices.Sort(want)
	check := func(what string, items []M) {
		t.Helper()
		var got []string
		for _, m := range items {
			got = append(got, show(m))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %d items %v", what, len(got), got)
		}
	}
	for _, index := range []*string{nil, new("gsi")} {
		for _, limit := range []*int32{nil, new(int32(1)), new(int32(7)), new(int32(40)), new(int32(41))} {
			in := api.ScanInput{TableName: new("table"), IndexName: index, Limit: limit}
			check(fmt.Sprint("limit ", deref(limit)), b.scanAll(in))
			var all []M
			for i := range int32(5) {
				in.Segment, in.TotalSegments = &i, new(int32(5))
				all = append(all, b.scanAll(in)...)
			}
			check("segments", all)
		}
	}
	out := must(b.Scan(b.ctx, &api.ScanInput{
		TableName: new("table"), FilterExpression: new("sk >= :n"), ExpressionAttributeValues: M{":n": api.N("38")}, Select: new("COUNT"),
	}))(t)
	if *out.Count != 2 || *out.ScannedCount != 40 || out.Items != nil {
		t.Errorf("filtered: %d of %d, %v", *out.Count, *out.ScannedCount, out.Items)
	}
	const v = "ValidationException: "
	for _, c := range []struct {
		in  api.ScanInput
		err string
	}{
		{api.ScanInput{Segment: new(int32(0))}, v + "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"},
		{api.ScanInput{TotalSegments: new(int32(1))}, v + "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"},
		{api.ScanInput{Segment: new(int32(1)), TotalSegments: new(int32(1))}, v + "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 1 is not less than TotalSegments: 1"},
		{api.ScanInput{ExclusiveStartKey: M{"pk": api.S("a")}}, v + "The provided starting key is invalid: The provided key element does not match the schema"},
		{api.ScanInput{IndexName: new("gsi"), ConsistentRead: new(true)}, v + "Consistent reads are not supported on global secondary indexes"},
	} {
		c.in.TableName = new("table")
		_, err := b.Scan(b.ctx, &c.in)
		wantError(t, err, c.err)
	}
	// A start key belongs to one of the segments, and is refused in the others.
	refused := 0
	for i := range int32(4) {
		_, err := b.Scan(b.ctx, &api.ScanInput{
			TableName: new("table"), Segment: &i, TotalSegments: new(int32(4)), ExclusiveStartKey: M{"pk": api.S("p1"), "sk": api.N("1")},
		})
		if err != nil {
			refused++
			wantError(t, err, fmt.Sprintf(v+"The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: 4 Segment: %d", i))
		}
	}
	if refused != 3 {
		t.Errorf("%d of 4 segments refused the key", refused)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/SecondaryIndexes.html
func TestIndexes(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N", "all g:S,n:N ALL", "keys g:S KEYS_ONLY", "some g:S INCLUDE x", "local lsi pk:S,l:S INCLUDE x")
	index := func(name, key string, more ...func(*api.QueryInput)) string {
		in := api.QueryInput{
			IndexName: &name, KeyConditionExpression: &key, ExpressionAttributeValues: M{":v": api.S("g")},
		}
		for _, f := range more {
			f(&in)
		}
		got, _, err := b.query(in)
		if err != nil {
			t.Fatal(name, err)
		}
		return got
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	b.put("table", M{"pk": api.S("g"), "sk": api.N("1"), "g": api.S("g"), "n": api.N("9"), "x": api.S("x1"), "y": api.S("y1"), "l": api.S("b")})
	b.put("table", M{"pk": api.S("g"), "sk": api.N("2"), "g": api.S("g"), "n": api.N("10"), "y": api.S("y2"), "l": api.S("a")})
	b.put("table", M{"pk": api.S("g"), "sk": api.N("3"), "x": api.S("x3")})
	check("all", index("all", "g = :v"), "{g=g, l=b, n=9, pk=g, sk=1, x=x1, y=y1} {g=g, l=a, n=10, pk=g, sk=2, y=y2}")
	check("keys", index("keys", "g = :v"), "{g=g, pk=g, sk=1} {g=g, pk=g, sk=2}")
	check("some", index("some", "g = :v"), "{g=g, pk=g, sk=1, x=x1} {g=g, pk=g, sk=2}")
	check("local", index("lsi", "pk = :v"), "{l=a, pk=g, sk=2} {l=b, pk=g, sk=1, x=x1}")
	check("local, completed", index("lsi", "pk = :v", func(in *api.QueryInput) { in.Select = new("ALL_ATTRIBUTES") }),
		"{g=g, l=a, n=10, pk=g, sk=2, y=y2} {g=g, l=b, n=9, pk=g, sk=1, x=x1, y=y1}")
	check("local, completed for one", index("lsi", "pk = :v", func(in *api.QueryInput) { in.ProjectionExpression = new("sk, y") }),
		"{sk=2, y=y2} {sk=1, y=y1}")

	update := func(expr string, values M) {
		t.Helper()
		must(b.UpdateItem(b.ctx, &api.UpdateItemInput{
			TableName: new("table"), Key: M{"pk": api.S("g"), "sk": api.N("1")}, UpdateExpression: &expr, ExpressionAttributeValues: values,
		}))(t)
	}
	update("SET n = :n, x = :x", M{":n": api.N("11"), ":x": api.S("x2")})
	check("moved", index("all", "g = :v"), "{g=g, l=a, n=10, pk=g, sk=2, y=y2} {g=g, l=b, n=11, pk=g, sk=1, x=x2, y=y1}")
	check("changed", index("some", "g = :v"), "{g=g, pk=g, sk=1, x=x2} {g=g, pk=g, sk=2}")
	update("REMOVE g", nil)
	check("left", index("keys", "g = :v"), "{g=g, pk=g, sk=2}")
	check("still in the local one", index("lsi", "pk = :v"), "{l=a, pk=g, sk=2} {l=b, pk=g, sk=1, x=x2}")
	update("SET g = :g", M{":g": api.S("g")})
	check("back", index("keys", "g = :v"), "{g=g, pk=g, sk=1} {g=g, pk=g, sk=2}")
	must(b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: M{"pk": api.S("g"), "sk": api.N("2")}}))(t)
	check("deleted", index("all", "g = :v"), "{g=g, l=b, n=11, pk=g, sk=1, x=x2, y=y1}")
	check("deleted from the local one", index("lsi", "pk = :v"), "{l=b, pk=g, sk=1, x=x2}")
}

// Whatever is written, each index holds exactly the projections of the items that have its key.
func TestIndexesAgree(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N", "gsi g:S,h:N INCLUDE x", "local lsi pk:S,h:N ALL")
	r := rand.New(rand.NewPCG(5, 6))
	value := func(n int) api.AttributeValue { return api.N(fmt.Sprint(r.IntN(n))) }
	for range 400 {
		m := M{"pk": api.S(fmt.Sprint(r.IntN(3))), "sk": value(4)}
		key := M{"pk": m["pk"], "sk": m["sk"]}
		if r.IntN(2) == 0 {
			m["g"] = api.S(fmt.Sprint(r.IntN(2)))
		}
		if r.IntN(2) == 0 {
			m["h"] = value(3)
		}
		m["x"], m["y"] = value(5), value(5)
		switch r.IntN(4) {
		case 0:
			must(b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: key}))(t)
		case 1:
			must(b.UpdateItem(b.ctx, &api.UpdateItemInput{
				TableName: new("table"), Key: key, UpdateExpression: new("SET h = :h, x = :x REMOVE g"),
				ExpressionAttributeValues: M{":h": value(3), ":x": value(5)},
			}))(t)
		default:
			b.put("table", m)
		}
	}
	var gsi, lsi []string
	for _, m := range b.scanAll(api.ScanInput{TableName: new("table")}) {
		if m["h"] != nil {
			lsi = append(lsi, show(m))
			if m["g"] != nil {
				delete(m, "y")
				gsi = append(gsi, show(m))
			}
		}
	}
	for name, want := range map[string][]string{"gsi": gsi, "lsi": lsi} {
		var got []string
		for _, m := range b.scanAll(api.ScanInput{TableName: new("table"), IndexName: &name, Limit: new(int32(3))}) {
			got = append(got, show(m))
		}
		slices.Sort(got)
		slices.Sort(want)
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// Not many small rows of an index, but what they stand for fills a page.
func TestPageOfFetchedItems(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N", "local lsi pk:S,l:N KEYS_ONLY")
	for i := range 6 {
		b.put("table", M{"pk": api.S("a"), "sk": api.N(fmt.Sprint(i)), "l": api.N(fmt.Sprint(i)), "x": api.S(strings.Repeat("x", 300_000))})
	}
	in := api.QueryInput{
		IndexName: new("lsi"), Select: new("ALL_ATTRIBUTES"), KeyConditionExpression: new("pk = :k"), ExpressionAttributeValues: M{":k": api.S("a")},
	}
	_, out, err := b.query(in)
	if err != nil || *out.Count != 4 || show(out.LastEvaluatedKey) != "{l=3, pk=a, sk=3}" {
		t.Fatalf("got %d, %s, %v", *out.Count, show(out.LastEvaluatedKey), err)
	}
	in.ExclusiveStartKey = out.LastEvaluatedKey
	if _, out, err = b.query(in); err != nil || *out.Count != 2 || out.LastEvaluatedKey != nil {
		t.Fatalf("the second page: %v, %v", out, err)
	}
}

// A query cannot be filtered by what its index does not hold; a Scan finds nothing there.
// https://github.com/paritysuite/dynamodb-conformance (tests/tier3/error-messages/partiqlIndexQualifier.test.ts)
func TestFilterOfUnprojected(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N", "local lsi pk:S,l:N KEYS_ONLY", "gsi g:S INCLUDE y")
	b.put("table", M{"pk": api.S("a"), "sk": api.N("1"), "l": api.N("1"), "g": api.S("a"), "x": api.S("x"), "y": api.S("y")})
	for _, c := range []struct{ index, key, filter, err string }{
		{"gsi", "g", "y = :k OR sk < :k", "no error"},
		{"gsi", "g", "x = :k OR l = :k OR y = :k OR x < :k", invalidParams + "Secondary index gsi does not project one or more filter attributes: [l, x]"},
		{"lsi", "pk", "x = :k", invalidParams + "Secondary index lsi does not project one or more filter attributes: [x]"},
	} {
		_, _, err := b.query(api.QueryInput{
			IndexName: &c.index, KeyConditionExpression: new(c.key + " = :k"), FilterExpression: &c.filter, ExpressionAttributeValues: M{":k": api.S("a")},
		})
		wantError(t, err, c.err)
		must(b.Scan(b.ctx, &api.ScanInput{
			TableName: new("table"), IndexName: &c.index, FilterExpression: &c.filter, ExpressionAttributeValues: M{":k": api.S("a")},
		}))(t)
	}
}

// A long projection costs an item little more than a short one.
func TestLongProjection(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N")
	b.fill("table", 5000, func(i int) M { return M{"pk": api.S("a"), "sk": api.N(fmt.Sprint(i))} })
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("x%x", i+256)[:3]+string(rune('a'+i%16)))
	}
	slices.Sort(names)
	paths := strings.Join(slices.Compact(names)[:700], ",") + ",sk"
	start := time.Now()
	out := must(b.Scan(b.ctx, &api.ScanInput{TableName: new("table"), ProjectionExpression: &paths}))(t)
	// It took more than 3 s when each item made its own order of the paths.
	if took := time.Since(start); *out.Count != 5000 || len(out.Items[0]) != 1 || took > 2*time.Second {
		t.Errorf("%d items, %v", *out.Count, took)
	}
}

// What DescribeTable and writes look at is bounded by bytes too.
func TestCountsAreBounded(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N", "local lsi pk:S,l:N ALL")
	b.fill("table", 30, func(i int) M {
		return M{"pk": api.S("a"), "sk": api.N(fmt.Sprint(i)), "l": api.N("1"), "x": api.B(make([]byte, 390_000))}
	})
	err := b.view(b.ctx, func(r kv.Reader) error {
		n, _, err := countRows(r, kv.Prefix(b.table("table").rows(nil)), smallSize)
		if n.Items != 22 {
			t.Errorf("%d rows were counted", n.Items)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.describe("table")
	if err := b.count(b.ctx); err != nil {
		t.Fatal(err)
	}
	if d := b.describe("table"); *d.ItemCount != 30 || *d.LocalSecondaryIndexes[0].ItemCount != 30 {
		t.Errorf("%d and %d items", *d.ItemCount, *d.LocalSecondaryIndexes[0].ItemCount)
	}
}

// The smallest items do not make pages of hundreds of thousands.
func TestPageOfSmallItems(t *testing.T) {
	b := newBench(t)
	b.create("table", "p:N")
	const most = maxPageSize / leastRow
	b.fill("table", most+5, func(i int) M { return M{"p": api.N(fmt.Sprint(i))} })
	out := must(b.Scan(b.ctx, &api.ScanInput{TableName: new("table"), Select: new("COUNT")}))(t)
	if *out.Count != most || out.LastEvaluatedKey == nil {
		t.Fatalf("%d items", *out.Count)
	}
	out = must(b.Scan(b.ctx, &api.ScanInput{TableName: new("table"), Select: new("COUNT"), ExclusiveStartKey: out.LastEvaluatedKey}))(t)
	if *out.Count != 5 || out.LastEvaluatedKey != nil {
		t.Fatalf("%d items", *out.Count)
	}
}

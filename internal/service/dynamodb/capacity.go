package dynamodb

import (
	api "brume/internal/api/dynamodb"
)

// What one capacity unit reads or writes, in bytes.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/capacity-mode.html
const (
	readUnit  = 4 << 10
	writeUnit = 1 << 10
)

// readUnits is what reading so many bytes consumes; reading nothing consumes as much as reading a little.
func readUnits(size int, consistent bool) float64 {
	units := float64(max(1, (size+readUnit-1)/readUnit))
	if !consistent {
		units /= 2
	}
	return units
}

// writeUnits is what writing an item consumes, whose size is the larger of before and after.
func writeUnits(before, after int) float64 {
	return float64(max(1, (max(before, after)+writeUnit-1)/writeUnit))
}

// A consumption adds up what an operation consumes of one table. A nil consumption is not asked for and adds nothing.
type consumption struct {
	table   string
	indexes bool // report each index
	kind    consumptionKind
	units   float64            // of the table alone
	local   map[string]float64 // of local secondary indexes
	global  map[string]float64 // of global ones
}

type consumptionKind uint8

// Transactions report read or write units besides the sum.
const (
	transactReads consumptionKind = iota + 1
	transactWrites
)

// newConsumption returns nil unless the request wants to know.
func newConsumption(returnConsumedCapacity *string, table string) *consumption {
	switch deref(returnConsumedCapacity) {
	case "TOTAL":
		return &consumption{table: table}
	case "INDEXES":
		return &consumption{table: table, indexes: true}
	}
	return nil
}

func (c *consumption) add(units float64) {
	if c != nil {
		c.units += units
	}
}

func (c *consumption) addIndex(x *index, units float64) {
	if c == nil || units == 0 {
		return
	}
	m := &c.local
	if x.Global {
		m = &c.global
	}
	if *m == nil {
		*m = map[string]float64{}
	}
	(*m)[x.Name] += units
}

// output returns what goes into the response.
func (c *consumption) output() *api.ConsumedCapacity {
	if c == nil {
		return nil
	}
	total := c.units
	capacity := func(units float64) api.Capacity {
		out := api.Capacity{CapacityUnits: new(units)}
		switch c.kind {
		case transactReads:
			out.ReadCapacityUnits = new(units)
		case transactWrites:
			out.WriteCapacityUnits = new(units)
		}
		return out
	}
	list := func(m map[string]float64) map[string]api.Capacity {
		var out map[string]api.Capacity
		for name, units := range m {
			total += units
			if c.indexes {
				if out == nil {
					out = map[string]api.Capacity{}
				}
				out[name] = capacity(units)
			}
		}
		return out
	}
	out := &api.ConsumedCapacity{
		TableName:              new(c.table),
		LocalSecondaryIndexes:  list(c.local),
		GlobalSecondaryIndexes: list(c.global),
	}
	sum := capacity(total)
	out.CapacityUnits, out.ReadCapacityUnits, out.WriteCapacityUnits = sum.CapacityUnits, sum.ReadCapacityUnits, sum.WriteCapacityUnits
	if c.indexes {
		out.Table = new(capacity(c.units))
	}
	return out
}

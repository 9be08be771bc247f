package expression

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/item"
)

// What an expression of 4 KB makes of an item of 400 KB must not fill the memory, nor take minutes.
func TestHugeLists(t *testing.T) {
	x := make(api.L, 180_000)
	for i := range x {
		x[i] = api.NULL(true)
	}
	old := item.Map{"x": x, "y": api.L{api.S("")}}
	var sets []string
	for i := range 180 {
		sets = append(sets, fmt.Sprintf("a%d=list_append(x,x)", i))
	}
	nested, small := "x", "y"
	for range 250 {
		nested, small = "list_append("+nested+",x)", "list_append("+small+",y)"
	}
	for src, want := range map[string]string{
		strings.Join(sets, ","): "ValidationException: Item size to update has exceeded the maximum allowed size",
		"z=" + nested:           "ValidationException: Item size to update has exceeded the maximum allowed size",
		"z=list_append(x,x)":    "<nil>",
		"z=" + small:            "<nil>",
	} {
		c, err := new(Placeholders).Update(Update, "SET "+src)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = c.Apply(old)
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; fmt.Sprint(err) != want || allocated > 64<<20 {
			t.Errorf("%.40s…: %v in %d bytes, want %s", src, err, allocated, want)
		}
	}
}

// An attribute that a condition names many times is decoded once.
func TestMemo(t *testing.T) {
	var parts []string
	for i := range 20 {
		parts = append(parts, fmt.Sprintf("m.a%d = :v", i))
	}
	p, err := NewPlaceholders(nil, item.Map{":v": api.S("x")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Predicate(Filter, strings.Join(parts, " OR "))
	if err != nil {
		t.Fatal(err)
	}
	it := &counted{item: item.Map{"m": api.M{"a19": api.S("x")}}}
	if ok, err := c.Eval(it); !ok || err != nil || it.asked != 1 {
		t.Errorf("got %v, %v; the item was asked %d times", ok, err, it.asked)
	}
}

type counted struct {
	item  item.Map
	asked int
}

func (c *counted) Attribute(name string) (api.AttributeValue, error) {
	c.asked++
	return c.item[name], nil
}

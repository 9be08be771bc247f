package dynamodb

import "testing"

// The hand-written AttributeValue leans on the order of the members in the model.
func TestAttributeValueMembersAreThoseOfTheModel(t *testing.T) {
	want := map[string]int{"S": memberS, "N": memberN, "B": memberB, "SS": memberSS, "NS": memberNS, "BS": memberBS,
		"M": memberM, "L": memberL, "NULL": memberNULL, "BOOL": memberBOOL}
	for _, shape := range Schema().Shapes {
		if shape.Name != "AttributeValue" {
			continue
		}
		if len(shape.Members) != len(want) {
			t.Errorf("the model has %d members, the hand-written type %d", len(shape.Members), len(want))
		}
		for i, m := range shape.Members {
			if j, ok := want[m.Name]; !ok || i != j {
				t.Errorf("%s: member %d in the model, %d by hand (known: %t)", m.Name, i, j, ok)
			}
		}
		return
	}
	t.Fatal("the model has no shape AttributeValue")
}

package dynamodb

// AttributeValue is the value of an attribute: one of S, N, B, SS, NS, BS, M, L, NULL, BOOL or, only on its way in,
// Malformed. It stands here by hand, in place of the model's ten-field structure, because exactly one field of that may
// be set and because items pass through the hottest paths.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
type AttributeValue interface{ attributeValue() }

type (
	// S is a string, UTF-8.
	S string
	// N is a number in decimal notation, as the client sent it until the domain has made it canonical.
	N string
	// B is binary data.
	B []byte
	// SS is a set of strings.
	SS []string
	// NS is a set of numbers.
	NS []string
	// BS is a set of binary values.
	BS [][]byte
	// M is a map.
	M map[string]AttributeValue
	// L is a list.
	L []AttributeValue
	// BOOL is a boolean.
	BOOL bool
	// NULL is the null value. false cannot be stored; it is kept to be refused.
	NULL bool
	// Malformed stands for an AttributeValue with no type, or with more than one: it holds a value of each, as what is
	// wrong with one of them is reported first.
	Malformed []AttributeValue
)

func (S) attributeValue()         {}
func (N) attributeValue()         {}
func (B) attributeValue()         {}
func (SS) attributeValue()        {}
func (NS) attributeValue()        {}
func (BS) attributeValue()        {}
func (M) attributeValue()         {}
func (L) attributeValue()         {}
func (BOOL) attributeValue()      {}
func (NULL) attributeValue()      {}
func (Malformed) attributeValue() {}

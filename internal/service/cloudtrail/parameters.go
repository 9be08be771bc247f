package cloudtrail

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"brume/internal/schema"
)

const (
	// hidden stands where a record must not show a value, as in CloudTrail.
	hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"
	// maxParameters is how large the request's parameters and the response's elements each may be.
	// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
	maxParameters = 100 << 10
	// dateForm is how CloudTrail shows times inside of parameters and elements.
	dateForm = "Jan 2, 2006, 3:04:05 PM"
)

// secretMembers are members whose values no record shows, beside those of sensitive shapes and all that is binary: code,
// certificates, payloads.
var secretMembers = map[string]bool{
	"SecretAccessKey": true, "SessionToken": true, "Password": true, "OldPassword": true, "NewPassword": true,
	"ZipFile": true, "Environment": true, "PrivateKey": true, "AssertionEncryptionKey": true,
	"AddPrivateKey": true, "Base32StringSeed": true, "QRCodePNG": true, "TokenCode": true, "AuthenticationCode1": true,
	"AuthenticationCode2": true, "WebIdentityToken": true, "SAMLAssertion": true, "ServicePassword": true,
	"ServiceCredentialSecret": true, "TradeInToken": true, "certificatePrivateKey": true, "ContextAssertion": true,
}

// secretShapes hold a secret in a member that other shapes use for something else: the key of an API.
var secretShapes = map[string]string{
	"apigateway.ApiKey": "value", "apigateway.CreateApiKeyRequest": "value", "apigateway.UsagePlanKey": "value",
}

// hides says that records do not show the value of a structure's member.
func hides(svc *schema.Service, shape *schema.Shape, m *schema.Member) bool {
	return secretMembers[m.Name] || isSensitive(svc, m) || secretShapes[svc.Name+"."+shape.Name] == m.Name
}

// isSensitive says that the model calls values of m sensitive, or that it does not describe them: they are the data of items.
func isSensitive(svc *schema.Service, m *schema.Member) bool {
	return m.Shape < 0 || svc.Shape(m).Sensitive
}

// A walk is an Encoder that writes the JSON that records show of a request or response.
type walk struct {
	svc  *schema.Service
	out  []byte
	size int // of what was or would have been written
	// frames are the structures, lists and maps that are open.
	frames []frame
	// member is the member, element or entry whose value comes next.
	member *schema.Member
	hide   bool
	// skip counts the open lists and maps whose content is not shown.
	skip int
	// accessKeys are the ids of access keys that were seen.
	accessKeys []string
}

type frame struct {
	shape *schema.Shape
	n     int // members or elements so far
}

// parameters is what a record shows of v, a structure of the shape with this index, and the access keys in it. What is
// too large is left out, and the record says so.
func parameters(svc *schema.Service, shape int, v schema.Struct) (out json.RawMessage, accessKeys []string) {
	if shape < 0 || v == nil {
		return nil, nil
	}
	w := &walk{svc: svc}
	w.structure(&svc.Shapes[shape], v)
	if w.size > maxParameters {
		return json.RawMessage(`{"omitted":true,"originalSize":` + strconv.Itoa(w.size) + `}`), w.accessKeys
	}
	if len(w.out) == len("{}") {
		return nil, w.accessKeys
	}
	return w.out, w.accessKeys
}

func (w *walk) write(s string) {
	if w.size += len(s); w.size <= maxParameters {
		w.out = append(w.out, s...)
	}
}

func (w *walk) structure(shape *schema.Shape, v schema.Struct) {
	w.frames = append(w.frames, frame{shape: shape})
	w.write("{")
	v.EncodeMembers(w)
	w.write("}")
	w.frames = w.frames[:len(w.frames)-1]
}

func (w *walk) top() *frame { return &w.frames[len(w.frames)-1] }

func (w *walk) comma() {
	if f := w.top(); f.n > 0 {
		w.write(",")
	}
	w.top().n++
}

// Member implements schema.Encoder.
func (w *walk) Member(i int) {
	if w.skip > 0 {
		return
	}
	shape := w.top().shape
	m := &shape.Members[i]
	w.member = m
	w.hide = hides(w.svc, shape, m)
	w.comma()
	w.text(lowerFirst(m.Name))
	w.write(":")
}

// lowerFirst makes the model's name of a member CloudTrail's: KMSKeyArn is kMSKeyArn there.
func lowerFirst(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:]
}

// begin stands before each value; it is false if the value is not shown.
func (w *walk) begin() (shape *schema.Shape, show bool) {
	if w.skip > 0 {
		return nil, false
	}
	if f := w.top(); f.shape.Kind == schema.List {
		w.comma()
		w.member = &f.shape.Members[0]
		w.hide = isSensitive(w.svc, w.member)
	}
	if w.hide {
		w.text(hidden)
		return nil, false
	}
	return w.svc.Shape(w.member), true
}

// Struct implements schema.Encoder.
func (w *walk) Struct(v schema.Struct) {
	if shape, ok := w.begin(); ok {
		w.structure(shape, v)
	}
}

func (w *walk) open(bracket string) {
	shape, ok := w.begin()
	if !ok {
		w.skip++
		return
	}
	w.frames = append(w.frames, frame{shape: shape})
	w.write(bracket)
}

func (w *walk) end(bracket string) {
	if w.skip > 0 {
		w.skip--
		return
	}
	w.frames = w.frames[:len(w.frames)-1]
	w.write(bracket)
}

func (w *walk) BeginList(int) { w.open("[") }
func (w *walk) EndList()      { w.end("]") }
func (w *walk) BeginMap(int)  { w.open("{") }
func (w *walk) EndMap()       { w.end("}") }

// Key implements schema.Encoder.
func (w *walk) Key(k string) {
	if w.skip > 0 {
		return
	}
	w.comma()
	f := w.top()
	if key := w.svc.Shape(&f.shape.Members[0]); key.Sensitive {
		k = hidden
	}
	w.text(k)
	w.write(":")
	w.member = &f.shape.Members[1]
	w.hide = isSensitive(w.svc, w.member)
}

func (w *walk) scalar(text string) {
	if _, ok := w.begin(); ok {
		w.write(text)
	}
}

func (w *walk) Bool(v bool) { w.scalar(strconv.FormatBool(v)) }
func (w *walk) Int(v int64) { w.scalar(strconv.FormatInt(v, 10)) }

// Float implements schema.Encoder.
func (w *walk) Float(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		w.scalar("null")
		return
	}
	w.scalar(strconv.FormatFloat(v, 'g', -1, 64))
}

// String implements schema.Encoder.
func (w *walk) String(v string) {
	if _, ok := w.begin(); ok {
		if w.member.Name == "AccessKeyId" {
			w.accessKeys = append(w.accessKeys, v)
		}
		w.text(v)
	}
}

// Blob implements schema.Encoder.
func (w *walk) Blob([]byte) {
	if _, ok := w.begin(); ok {
		w.text(hidden)
	}
}

// Time implements schema.Encoder.
func (w *walk) Time(v time.Time) {
	if _, ok := w.begin(); ok {
		w.text(v.UTC().Format(dateForm))
	}
}

// text writes a string.
func (w *walk) text(s string) {
	if w.size > maxParameters {
		w.size += len(s) + 2
		return
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil { // no string fails
				quoted = []byte(`""`)
			}
			w.write(string(quoted))
			return
		}
	}
	w.write(`"`)
	w.write(s)
	w.write(`"`)
}

var _ schema.Encoder = (*walk)(nil)

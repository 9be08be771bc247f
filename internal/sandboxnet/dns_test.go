package sandboxnet

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func TestNamesHas(t *testing.T) {
	names := NewNames("brume.example.org", "Cloud.Example.")
	for host, want := range map[string]bool{
		"dynamodb.us-east-1.amazonaws.com":     true,
		"DynamoDB.eu-central-1.Amazonaws.COM.": true,
		"my.bucket.s3.us-west-2.amazonaws.com": true,
		"lambda.cn-north-1.amazonaws.com.cn":   true,
		"lambda.us-east-1.api.aws":             true,
		"abc.lambda-url.us-east-1.on.aws":      true,
		"localhost":                            true,
		"x.localhost":                          true,
		"brume.example.org":                    true,
		"s3.brume.example.org":                 true,
		"cloud.example":                        true,
		"amazonaws.com":                        false,
		".amazonaws.com":                       false,
		"evilamazonaws.com":                    false,
		"amazonaws.com.evil.org":               false,
		"example.org":                          false,
		"example":                              false,
		"":                                     false,
		".":                                    false,
		strings.Repeat("a.", 130) + "amazonaws.com": false,
		strings.Repeat("a.", 110) + "amazonaws.com": true,
		"metadata.google.internal":                  false,
		"notlocalhost":                              false,
	} {
		if got := names.Has(host); got != want {
			t.Errorf("Has(%q) = %v", host, got)
		}
	}
	var zero Names
	if zero.Has("brume.example.org") || !zero.Has("sts.amazonaws.com") {
		t.Error("the zero Names do not hold the names of AWS alone")
	}
}

func query(t testing.TB, name string, typ dnsmessage.Type, class dnsmessage.Class) []byte {
	t.Helper()
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 0x1234, RecursionDesired: true})
	must(t, b.StartQuestions())
	must(t, b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: typ, Class: class}))
	msg, err := b.Finish()
	must(t, err)
	return msg
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestResolverAnswer(t *testing.T) {
	r := NewResolver(Names{}, loopback, nil)
	for _, tt := range []struct {
		name    string
		typ     dnsmessage.Type
		class   dnsmessage.Class
		rcode   dnsmessage.RCode
		answers int
	}{
		{"sts.amazonaws.com.", dnsmessage.TypeA, dnsmessage.ClassINET, dnsmessage.RCodeSuccess, 1},
		{"sts.amazonaws.com.", dnsmessage.TypeALL, dnsmessage.ClassINET, dnsmessage.RCodeSuccess, 1},
		{"sts.amazonaws.com.", dnsmessage.TypeAAAA, dnsmessage.ClassINET, dnsmessage.RCodeSuccess, 0},
		{"sts.amazonaws.com.", dnsmessage.TypeMX, dnsmessage.ClassINET, dnsmessage.RCodeSuccess, 0},
		{"sts.amazonaws.com.", dnsmessage.TypeA, dnsmessage.ClassCHAOS, dnsmessage.RCodeNameError, 0},
		{"example.org.", dnsmessage.TypeA, dnsmessage.ClassINET, dnsmessage.RCodeNameError, 0},
		{"1.0.0.127.in-addr.arpa.", dnsmessage.TypePTR, dnsmessage.ClassINET, dnsmessage.RCodeNameError, 0},
	} {
		var m dnsmessage.Message
		must(t, m.Unpack(r.Answer(t.Context(), nil, query(t, tt.name, tt.typ, tt.class))))
		if m.ID != 0x1234 || !m.Response || !m.RecursionDesired || m.RCode != tt.rcode || len(m.Answers) != tt.answers {
			t.Errorf("%s %v: %+v", tt.name, tt.typ, m)
		}
		if len(m.Questions) != 1 || m.Questions[0].Name.String() != tt.name {
			t.Errorf("%s: the question does not come back: %v", tt.name, m.Questions)
		}
		for _, a := range m.Answers {
			if body, ok := a.Body.(*dnsmessage.AResource); !ok || body.A != [4]byte{127, 0, 0, 1} {
				t.Errorf("%s: answer %v", tt.name, a)
			}
		}
	}
}

func TestResolverAnswersNoNonsense(t *testing.T) {
	r := NewResolver(Names{}, loopback, nil)
	good := query(t, "sts.amazonaws.com.", dnsmessage.TypeA, dnsmessage.ClassINET)

	if msg := r.Answer(t.Context(), nil, good[:11]); msg != nil {
		t.Errorf("answered half a header: %x", msg)
	}
	response := bytes.Clone(good)
	response[2] |= 0x80
	if msg := r.Answer(t.Context(), nil, response); msg != nil {
		t.Errorf("answered a response: %x", msg)
	}
	for _, tt := range []struct {
		msg  []byte
		want dnsmessage.RCode
	}{
		{good[:12], dnsmessage.RCodeFormatError},              // announces a question that is not there
		{good[:len(good)-3], dnsmessage.RCodeFormatError},     // half a question
		{withOpCode(good, 2), dnsmessage.RCodeNotImplemented}, // STATUS
	} {
		var m dnsmessage.Message
		must(t, m.Unpack(r.Answer(t.Context(), nil, tt.msg)))
		if m.RCode != tt.want || len(m.Answers) != 0 {
			t.Errorf("%x: %+v", tt.msg, m)
		}
	}
}

func withOpCode(msg []byte, op byte) []byte {
	out := bytes.Clone(msg)
	out[2] |= op << 3
	return out
}

func TestResolverServes(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- NewResolver(Names{}, loopback, nil).Serve(ctx, conn) }()

	// The resolver of the standard library is as strict a client as there is.
	client := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	got, err := client.LookupHost(ctx, "dynamodb.ap-south-1.amazonaws.com.")
	if err != nil || len(got) != 1 || got[0] != "127.0.0.1" {
		t.Errorf("looked up %v, %v", got, err)
	}
	var notFound *net.DNSError
	if _, err := client.LookupHost(ctx, "example.org."); !asDNSError(err, &notFound) || !notFound.IsNotFound {
		t.Errorf("a name of the world gives %v", err)
	}
	cancel()
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(5 * time.Second):
		t.Fatal("Serve does not end with its context")
	}
	conn.Close()
}

func asDNSError(err error, target **net.DNSError) bool {
	e, ok := err.(*net.DNSError)
	*target = e
	return ok
}

func FuzzResolverAnswer(f *testing.F) {
	good := query(f, "sts.amazonaws.com.", dnsmessage.TypeA, dnsmessage.ClassINET)
	f.Add(good)
	f.Add(good[:12])
	f.Add(query(f, "example.org.", dnsmessage.TypeAAAA, dnsmessage.ClassINET))
	f.Add(append(bytes.Clone(good[:12]), 0xc0, 0x0c, 0, 1, 0, 1)) // a name that points to itself
	r := NewResolver(Names{}, loopback, nil)
	f.Fuzz(func(t *testing.T, msg []byte) {
		reply := r.Answer(t.Context(), nil, msg)
		if reply == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil {
			t.Fatalf("%x is answered with %x: %v", msg, reply, err)
		}
		if !m.Response || len(reply) > maxQuery+32 || m.ID != uint16(msg[0])<<8|uint16(msg[1]) {
			t.Fatalf("%x is answered with %+v", msg, m)
		}
		if len(m.Answers) > 0 && !(Names{}).Has(m.Questions[0].Name.String()) {
			t.Fatalf("an address for %v", m.Questions)
		}
	})
}

package lambda

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"brume/internal/blob"
)

// CodePath begins the paths of SignedLinks.
const CodePath = "/_aws/lambda/code/"

// URLPath begins the paths of function URLs for clients without wildcard names; the URL's id follows.
const URLPath = "/_aws/lambda-url/"

// SignedLinks are Links to Brume itself: CodePath, the name of the code, and a signature over that and a time, which is
// all that a client needs until then.
type SignedLinks struct {
	base     string
	key      []byte
	packages *Packages
	now      func() time.Time
}

// NewSignedLinks returns links below base, "http://127.0.0.1:4566" for instance, that are signed with key. Links are good
// for as long as the key stays the same.
func NewSignedLinks(base string, key []byte, packages *Packages) *SignedLinks {
	return &SignedLinks{strings.TrimSuffix(base, "/"), key, packages, time.Now}
}

// CodeURL implements Links.
func (l *SignedLinks) CodeURL(_ context.Context, code blob.Ref, valid time.Duration) string {
	expires := strconv.FormatInt(l.now().Add(valid).Unix(), 10)
	return l.base + CodePath + code.String() + "?" + url.Values{"Expires": {expires}, "Signature": {l.sign(code.String(), expires)}}.Encode()
}

// FunctionURL implements Links. Names below localhost lead to this machine, so that one that is reached there has URLs of
// AWS's form; of another one no wildcard name is known, and the URL is a path.
func (l *SignedLinks) FunctionURL(id, region string) string {
	base, err := url.Parse(l.base)
	if err != nil {
		return l.base + URLPath + id + "/"
	}
	addr, err := netip.ParseAddr(base.Hostname())
	if err == nil && addr.IsLoopback() || base.Hostname() == "localhost" {
		host := id + ".lambda-url." + region + ".localhost"
		if port := base.Port(); port != "" {
			host += ":" + port
		}
		return base.Scheme + "://" + host + "/"
	}
	return l.base + URLPath + id + "/"
}

func (l *SignedLinks) sign(name, expires string) string {
	mac := hmac.New(sha256.New, l.key)
	mac.Write([]byte(name + "\n" + expires))
	return hex.EncodeToString(mac.Sum(nil))
}

// Open opens the code that a link leads to. path and query are those of the request. Whatever is wrong with a link, it is
// refused in the same words.
func (l *SignedLinks) Open(ctx context.Context, path string, query url.Values) (io.ReadSeekCloser, error) {
	refused := accessDenied("The link is not valid, or not any more. Get another one with GetFunction.")
	name, ok := strings.CutPrefix(path, CodePath)
	expires := query.Get("Expires")
	if !ok || !hmac.Equal([]byte(query.Get("Signature")), []byte(l.sign(name, expires))) {
		return nil, refused
	}
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || !l.now().Before(time.Unix(until, 0)) {
		return nil, refused
	}
	code, err := blob.ParseRef(name)
	if err != nil {
		return nil, refused
	}
	return l.packages.open(ctx, code)
}

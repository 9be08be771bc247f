package sandboxnet

import "strings"

// awsDomains are the domains that hold the endpoints of AWS, dual-stack ones and function URLs included.
// https://docs.aws.amazon.com/general/latest/gr/rande.html
// https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html
var awsDomains = [...]string{"amazonaws.com", "amazonaws.com.cn", "api.aws", "on.aws"}

// maxHost is the longest name that DNS can carry, with a dot at its end.
const maxHost = 254

// Names are the host names that lead to Brume inside a sandbox: those of AWS, localhost, and the ones added.
// The zero value holds those of AWS and localhost.
type Names struct {
	added map[string]bool
}

// NewNames adds hosts, and everything below them, to the names of AWS.
func NewNames(hosts ...string) Names {
	n := Names{added: make(map[string]bool, len(hosts))}
	for _, h := range hosts {
		if h = normalize(h); h != "" {
			n.added[h] = true
		}
	}
	return n
}

// Has says whether host leads to Brume. Case and a dot at the end do not matter.
func (n Names) Has(host string) bool {
	if len(host) > maxHost {
		return false
	}
	host = normalize(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	for _, d := range awsDomains {
		if below(host, d) {
			return true
		}
	}
	for len(n.added) > 0 && host != "" {
		if n.added[host] {
			return true
		}
		_, host, _ = strings.Cut(host, ".")
	}
	return false
}

// below says whether host is in the domain, which is not a host itself.
func below(host, domain string) bool {
	rest, ok := strings.CutSuffix(host, domain)
	return ok && len(rest) > 1 && strings.HasSuffix(rest, ".")
}

func normalize(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

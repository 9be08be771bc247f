package apigateway

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
	"brume/internal/kv"
)

// noBasePath is how calls write the empty base path.
const noBasePath = "(none)"

// maxMappings is how many base paths a domain name can map.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const maxMappings = 200

// A domainRow is a custom domain name with its mappings. A name is taken once across all accounts, since a request has
// nothing else to tell whose it is.
type domainRow struct {
	Account  string
	Region   string
	Domain   api.DomainName
	Mappings []api.BasePathMapping // by descending length of the base path, so that the first that fits is the one
}

// foldDomain is a domain name as it is stored.
func foldDomain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func getDomain(r kv.Reader, sc scope, name string) (*domainRow, error) {
	row, err := get[domainRow](r, domainKey(foldDomain(name)))
	if err == nil && (row == nil || row.Account != sc.account || row.Region != sc.region) {
		err = notFound("Invalid domain name identifier specified")
	}
	if err != nil {
		return nil, err
	}
	return row, nil
}

func putDomain(tx kv.Tx, row *domainRow) error {
	return put(tx, domainKey(foldDomain(*row.Domain.DomainName)), row)
}

func checkDomainName(name string) error {
	labels := strings.Split(name, ".")
	for i, l := range labels {
		ok := l != "" && len(l) <= 63 && !strings.HasPrefix(l, "-") && !strings.HasSuffix(l, "-") && strings.IndexFunc(l, func(r rune) bool {
			return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-')
		}) < 0
		if !ok && !(i == 0 && l == "*") || len(labels) < 2 || len(name) > 253 {
			return invalid("The domain name '%s' is invalid", clip(name))
		}
	}
	return nil
}

// CreateDomainName takes a name of one's own for APIs. Requests whose Host is that name, on whatever port Brume listens,
// go where its mappings lead. Certificates are recorded: TLS ends in front of Brume.
// https://docs.aws.amazon.com/apigateway/latest/api/API_CreateDomainName.html
func (s *Service) CreateDomainName(ctx context.Context, in *api.CreateDomainNameInput) (*api.DomainName, error) {
	sc := scopeOf(ctx)
	name := foldDomain(*in.DomainName)
	if err := checkDomainName(name); err != nil {
		return nil, err
	}
	if in.MutualTlsAuthentication != nil {
		return nil, awserr.NotImplemented("CreateDomainName with mutualTlsAuthentication")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	endpoint := in.EndpointConfiguration
	if endpoint == nil || len(endpoint.Types) == 0 {
		endpoint = &api.EndpointConfiguration{Types: []string{"EDGE"}}
	}
	if len(endpoint.Types) != 1 || endpoint.Types[0] != "EDGE" && endpoint.Types[0] != "REGIONAL" {
		return nil, invalid("Invalid endpoint type specified. Valid options are EDGE, REGIONAL")
	}
	var row *domainRow
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		_, taken, err := tx.Get(domainKey(name))
		if err != nil {
			return err
		}
		if taken {
			return conflict("The domain name you provided already exists.")
		}
		d := api.DomainName{
			DomainName: &name, CertificateName: in.CertificateName, CertificateArn: in.CertificateArn, RegionalCertificateName: in.RegionalCertificateName,
			RegionalCertificateArn: in.RegionalCertificateArn, EndpointConfiguration: endpoint, DomainNameStatus: new("AVAILABLE"),
			SecurityPolicy: in.SecurityPolicy, Tags: in.Tags, OwnershipVerificationCertificateArn: in.OwnershipVerificationCertificateArn,
		}
		if d.SecurityPolicy == nil {
			d.SecurityPolicy = new("TLS_1_2")
		}
		target := "d-" + newID(10) + ".execute-api." + sc.region + ".amazonaws.com"
		if endpoint.Types[0] == "EDGE" {
			d.DistributionDomainName, d.CertificateUploadDate = &target, now(tx)
		} else {
			d.RegionalDomainName = &target
		}
		row = &domainRow{Account: sc.account, Region: sc.region, Domain: d}
		return putDomain(tx, row)
	})
	if err != nil {
		return nil, err
	}
	return &row.Domain, nil
}

func (s *Service) GetDomainName(ctx context.Context, in *api.GetDomainNameInput) (*api.DomainName, error) {
	row, err := s.viewDomain(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	return &row.Domain, nil
}

func (s *Service) viewDomain(ctx context.Context, name string) (row *domainRow, err error) {
	err = s.store.View(ctx, func(r kv.Reader) error {
		row, err = getDomain(r, scopeOf(ctx), name)
		return err
	})
	return row, err
}

func (s *Service) GetDomainNames(ctx context.Context, in *api.GetDomainNamesInput) (*api.DomainNames, error) {
	sc := scopeOf(ctx)
	out := &api.DomainNames{}
	err := s.store.View(ctx, func(r kv.Reader) error {
		list, next, err := page(r, table(tagDomain), in.Position, in.Limit, func(d *domainRow) bool { return d.Account == sc.account && d.Region == sc.region })
		out.Items, out.Position = make([]api.DomainName, len(list)), next
		for i := range list {
			out.Items[i] = list[i].Domain
		}
		return err
	})
	return out, err
}

// changeDomain reads a domain, lets change work on it and writes it.
func (s *Service) changeDomain(ctx context.Context, name string, change func(tx kv.Tx, row *domainRow) error) error {
	return s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getDomain(tx, scopeOf(ctx), name)
		if err != nil {
			return err
		}
		if err := change(tx, row); err != nil {
			return err
		}
		return putDomain(tx, row)
	})
}

func (s *Service) UpdateDomainName(ctx context.Context, in *api.UpdateDomainNameInput) (out *api.DomainName, err error) {
	err = s.changeDomain(ctx, *in.DomainName, func(_ kv.Tx, row *domainRow) error {
		out = &row.Domain
		return applyPatches(in.PatchOperations, []patchRule{
			{"replace", "/certificateName", setString(&out.CertificateName)},
			{"replace", "/certificateArn", setString(&out.CertificateArn)},
			{"replace", "/regionalCertificateName", setString(&out.RegionalCertificateName)},
			{"replace", "/regionalCertificateArn", setString(&out.RegionalCertificateArn)},
			{"replace", "/securityPolicy", func(p *patch) error {
				if v := value(p.value); v != "TLS_1_0" && v != "TLS_1_2" {
					return p.bad()
				}
				return setString(&out.SecurityPolicy)(p)
			}},
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) DeleteDomainName(ctx context.Context, in *api.DeleteDomainNameInput) (*api.DeleteDomainNameOutput, error) {
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getDomain(tx, scopeOf(ctx), *in.DomainName); err != nil {
			return err
		}
		return tx.Delete(domainKey(foldDomain(*in.DomainName)))
	})
	return new(api.DeleteDomainNameOutput), err
}

// mapping returns the place of a base path in the row, or the error that it is not mapped.
func (row *domainRow) mapping(basePath string) (int, error) {
	for i := range row.Mappings {
		if *row.Mappings[i].BasePath == basePath {
			return i, nil
		}
	}
	return 0, notFound("Invalid base path mapping identifier specified")
}

// checkMapping checks that a base path is one, and that what it leads to exists.
func checkMapping(r kv.Reader, sc scope, m *api.BasePathMapping) error {
	if *m.BasePath != noBasePath && strings.IndexFunc(*m.BasePath, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("$-_.+!*'()/", r))
	}) >= 0 {
		return invalid("API Gateway V1 doesn't support the base path '%s'", clip(*m.BasePath))
	}
	if _, err := getAPI(r, sc, value(m.RestApiId)); err != nil {
		return err
	}
	if value(m.Stage) == "" {
		return nil
	}
	_, err := getStage(r, sc, *m.RestApiId, *m.Stage)
	return err
}

func (row *domainRow) sort() {
	slices.SortFunc(row.Mappings, func(a, b api.BasePathMapping) int {
		length := func(m *api.BasePathMapping) int {
			if *m.BasePath == noBasePath {
				return 0
			}
			return len(*m.BasePath)
		}
		return cmp.Or(cmp.Compare(length(&b), length(&a)), cmp.Compare(*a.BasePath, *b.BasePath))
	})
}

func (s *Service) CreateBasePathMapping(ctx context.Context, in *api.CreateBasePathMappingInput) (*api.BasePathMapping, error) {
	m := api.BasePathMapping{BasePath: in.BasePath, RestApiId: in.RestApiId, Stage: in.Stage}
	if value(m.BasePath) == "" {
		m.BasePath = new(noBasePath)
	}
	err := s.changeDomain(ctx, *in.DomainName, func(tx kv.Tx, row *domainRow) error {
		if _, err := row.mapping(*m.BasePath); err == nil {
			return conflict("Base path already exists for this domain name")
		}
		if len(row.Mappings) >= maxMappings {
			return &api.LimitExceededException{Message: new("Maximum number of base path mappings for this domain name has been reached")}
		}
		if err := checkMapping(tx, scopeOf(ctx), &m); err != nil {
			return err
		}
		row.Mappings = append(row.Mappings, m)
		row.sort()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &m, nil
}

func (s *Service) GetBasePathMapping(ctx context.Context, in *api.GetBasePathMappingInput) (*api.BasePathMapping, error) {
	row, err := s.viewDomain(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	i, err := row.mapping(*in.BasePath)
	if err != nil {
		return nil, err
	}
	return &row.Mappings[i], nil
}

// GetBasePathMappings lists all mappings of a domain name in one page: there are at most maxMappings.
func (s *Service) GetBasePathMappings(ctx context.Context, in *api.GetBasePathMappingsInput) (*api.BasePathMappings, error) {
	if _, err := pageSize(in.Limit); err != nil {
		return nil, err
	}
	row, err := s.viewDomain(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	return &api.BasePathMappings{Items: row.Mappings}, nil
}

func (s *Service) UpdateBasePathMapping(ctx context.Context, in *api.UpdateBasePathMappingInput) (*api.BasePathMapping, error) {
	var m api.BasePathMapping
	err := s.changeDomain(ctx, *in.DomainName, func(tx kv.Tx, row *domainRow) error {
		i, err := row.mapping(*in.BasePath)
		if err != nil {
			return err
		}
		m = row.Mappings[i]
		err = applyPatches(in.PatchOperations, []patchRule{
			{"replace", "/basePath", setString(&m.BasePath)},
			{"replace", "/restapiId", setString(&m.RestApiId)},
			{"replace", "/stage", setString(&m.Stage)},
		})
		if err != nil {
			return err
		}
		if m.BasePath == nil {
			m.BasePath = new(noBasePath)
		}
		if j, err := row.mapping(*m.BasePath); err == nil && j != i {
			return conflict("Base path already exists for this domain name")
		}
		if err := checkMapping(tx, scopeOf(ctx), &m); err != nil {
			return err
		}
		row.Mappings[i] = m
		row.sort()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &m, nil
}

func (s *Service) DeleteBasePathMapping(ctx context.Context, in *api.DeleteBasePathMappingInput) (*api.DeleteBasePathMappingOutput, error) {
	err := s.changeDomain(ctx, *in.DomainName, func(_ kv.Tx, row *domainRow) error {
		i, err := row.mapping(*in.BasePath)
		if err == nil {
			row.Mappings = slices.Delete(row.Mappings, i, i+1)
		}
		return err
	})
	return new(api.DeleteBasePathMappingOutput), err
}

// Locate finds the API and the stage that a request to a custom domain name is for, and the rest of its path. ok is false
// if the host is no such name. A name without a mapping that fits leads to no API. A mapping without a stage takes the
// stage from the next segment.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html
func (s *Service) Locate(ctx context.Context, host, path string) (apiID, stage, rest string, ok bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = foldDomain(host)
	// What nearly every request says is no custom name: it is not looked up.
	if host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil || !strings.Contains(host, ".") {
		return "", "", "", false
	}
	_, parent, _ := strings.Cut(host, ".")
	var row *domainRow
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		if row, err = get[domainRow](r, domainKey(host)); err == nil && row == nil {
			row, err = get[domainRow](r, domainKey("*."+parent))
		}
		return err
	})
	if err != nil {
		s.log.ErrorContext(ctx, "a custom domain name could not be looked up", slog.String("host", clip(host)), slog.String("error", err.Error()))
		return "", "", path, true
	}
	if row == nil {
		return "", "", "", false
	}
	for _, m := range row.Mappings {
		base := "/" + *m.BasePath
		if *m.BasePath == noBasePath {
			base = ""
		}
		rest, fits := strings.CutPrefix(path, base)
		if !fits || rest != "" && rest[0] != '/' {
			continue
		}
		stage := value(m.Stage)
		if stage == "" {
			stage, rest, _ = strings.Cut(strings.TrimPrefix(rest, "/"), "/")
			rest = "/" + rest
		}
		return *m.RestApiId, stage, rest, true
	}
	return "", "", path, true
}

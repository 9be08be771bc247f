package apigateway

import (
	"context"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
	"brume/internal/customdomain"
	"brume/internal/kv"
)

// noBasePath is how calls write the empty base path.
const noBasePath = "(none)"

// getDomain returns a name of an account in a region.
func getDomain(r kv.Reader, sc scope, name string) (*customdomain.Row, error) {
	row, err := customdomain.Get(r, sc.account, sc.region, name)
	if err == nil && row == nil {
		err = notFound("Invalid domain name identifier specified")
	}
	return row, err
}

// domainOf shows a custom domain name as it is known here: certificate and target have other names for either type.
func domainOf(row *customdomain.Row) *api.DomainName {
	d := &api.DomainName{
		DomainName: &row.Name, EndpointConfiguration: &api.EndpointConfiguration{Types: []string{row.Endpoint}}, DomainNameStatus: new("AVAILABLE"),
		SecurityPolicy: &row.SecurityPolicy, Tags: row.Tags, OwnershipVerificationCertificateArn: optional(row.OwnershipARN),
	}
	c := row.Certificate
	if row.Endpoint == customdomain.Edge {
		d.DistributionDomainName, d.CertificateArn, d.CertificateName, d.CertificateUploadDate = &row.Target, optional(c.ARN), optional(c.Name), &c.Uploaded
	} else {
		d.RegionalDomainName, d.RegionalCertificateArn, d.RegionalCertificateName = &row.Target, optional(c.ARN), optional(c.Name)
	}
	return d
}

// optional is nil for an empty text.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// CreateDomainName takes a name of one's own for APIs. Requests whose Host is that name, on whatever port Brume listens,
// go where its mappings lead. Certificates are recorded: TLS ends in front of Brume.
// https://docs.aws.amazon.com/apigateway/latest/api/API_CreateDomainName.html
func (s *Service) CreateDomainName(ctx context.Context, in *api.CreateDomainNameInput) (*api.DomainName, error) {
	sc := scopeOf(ctx)
	name := customdomain.Fold(*in.DomainName)
	if !customdomain.ValidName(name) {
		return nil, invalid("The domain name '%s' is invalid", clip(name))
	}
	if in.MutualTlsAuthentication != nil {
		return nil, awserr.NotImplemented("CreateDomainName with mutualTlsAuthentication")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	row := &customdomain.Row{
		Account: sc.account, Region: sc.region, Name: name, Endpoint: customdomain.Edge, SecurityPolicy: "TLS_1_2", Tags: in.Tags,
		OwnershipARN: value(in.OwnershipVerificationCertificateArn),
	}
	if e := in.EndpointConfiguration; e != nil && len(e.Types) > 0 {
		if row.Endpoint = e.Types[0]; len(e.Types) != 1 || row.Endpoint != customdomain.Edge && row.Endpoint != customdomain.Regional {
			return nil, invalid("Invalid endpoint type specified. Valid options are EDGE, REGIONAL")
		}
	}
	if in.SecurityPolicy != nil {
		row.SecurityPolicy = *in.SecurityPolicy
	}
	row.Certificate.ARN, row.Certificate.Name = value(in.CertificateArn), value(in.CertificateName)
	if row.Endpoint == customdomain.Regional {
		row.Certificate.ARN, row.Certificate.Name = value(in.RegionalCertificateArn), value(in.RegionalCertificateName)
	}
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		taken, err := customdomain.Taken(tx, sc.account, name)
		if err != nil {
			return err
		}
		if taken {
			return conflict("The domain name you provided already exists.")
		}
		row.Target, row.Certificate.Uploaded = "d-"+newID(10)+".execute-api."+sc.region+".amazonaws.com", *now(tx)
		return customdomain.Put(tx, row)
	})
	if err != nil {
		return nil, err
	}
	return domainOf(row), nil
}

func (s *Service) GetDomainName(ctx context.Context, in *api.GetDomainNameInput) (*api.DomainName, error) {
	row, err := s.viewDomain(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	return domainOf(row), nil
}

func (s *Service) viewDomain(ctx context.Context, name string) (row *customdomain.Row, err error) {
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
		list, next, err := page(r, customdomain.Prefix(), in.Position, in.Limit, func(d *customdomain.Row) bool { return d.Belongs(sc.account, sc.region) })
		out.Items, out.Position = make([]api.DomainName, len(list)), next
		for i := range list {
			out.Items[i] = *domainOf(&list[i])
		}
		return err
	})
	return out, err
}

// changeDomain reads a domain, lets change work on it and writes it.
func (s *Service) changeDomain(ctx context.Context, name string, change func(tx kv.Tx, row *customdomain.Row) error) error {
	return s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getDomain(tx, scopeOf(ctx), name)
		if err != nil {
			return err
		}
		if err := change(tx, row); err != nil {
			return err
		}
		return customdomain.Put(tx, row)
	})
}

func (s *Service) UpdateDomainName(ctx context.Context, in *api.UpdateDomainNameInput) (out *api.DomainName, err error) {
	err = s.changeDomain(ctx, *in.DomainName, func(_ kv.Tx, row *customdomain.Row) error {
		out = domainOf(row)
		err := applyPatches(in.PatchOperations, []patchRule{
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
			{"replace", "/ownershipVerificationCertificateArn", setString(&out.OwnershipVerificationCertificateArn)},
			// The certificate of the other type must be there, or be set in the same call.
			{"replace", "/endpointConfiguration/types/*", func(p *patch) error {
				if v := value(p.value); p.last() != row.Endpoint && p.last() != "0" || v != customdomain.Edge && v != customdomain.Regional {
					return p.bad()
				}
				row.Endpoint = *p.value
				return nil
			}},
			{"add replace remove", "/mutualTlsAuthentication/*", func(*patch) error { return awserr.NotImplemented("UpdateDomainName with mutualTlsAuthentication") }},
		})
		row.OwnershipARN = value(out.OwnershipVerificationCertificateArn)
		row.Certificate.ARN, row.Certificate.Name, row.SecurityPolicy = value(out.CertificateArn), value(out.CertificateName), value(out.SecurityPolicy)
		if row.Endpoint == customdomain.Regional {
			row.Certificate.ARN, row.Certificate.Name = value(out.RegionalCertificateArn), value(out.RegionalCertificateName)
		}
		out = domainOf(row)
		return err
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
		return customdomain.Delete(tx, *in.DomainName)
	})
	return new(api.DeleteDomainNameOutput), err
}

// basePath is a base path as mappings have it.
func basePath(p string) string {
	if p == noBasePath {
		return ""
	}
	return p
}

// mappingOf shows a mapping as it is known here.
func mappingOf(m *customdomain.Mapping) *api.BasePathMapping {
	out := &api.BasePathMapping{BasePath: &m.BasePath, RestApiId: &m.API, Stage: optional(m.Stage)}
	if m.BasePath == "" {
		out.BasePath = new(noBasePath)
	}
	return out
}

// findMapping is the place of a base path, or the error that it is not mapped.
func findMapping(row *customdomain.Row, path string) (int, error) {
	i, ok := row.Find(basePath(path))
	if !ok {
		return 0, notFound("Invalid base path mapping identifier specified")
	}
	return i, nil
}

// checkMapping checks that a base path is one, and that what it leads to exists.
func checkMapping(r kv.Reader, sc scope, m *customdomain.Mapping) error {
	switch {
	case strings.Contains(m.BasePath, "/"):
		return invalid("API Gateway V1 doesn't support the slash character (/) in base path mappings. To create a multi-level base path mapping, use API Gateway V2.")
	case !customdomain.ValidBasePath(m.BasePath):
		return invalid("Invalid base path '%s'. A base path may only contain letters, numbers and one of $-_.+!*'()", clip(m.BasePath))
	}
	if _, err := getAPI(r, sc, m.API); err != nil {
		return err
	}
	if m.Stage == "" {
		return nil
	}
	_, err := getStage(r, sc, m.API, m.Stage)
	return err
}

func (s *Service) CreateBasePathMapping(ctx context.Context, in *api.CreateBasePathMappingInput) (*api.BasePathMapping, error) {
	m := customdomain.Mapping{ID: newID(6), BasePath: basePath(value(in.BasePath)), API: value(in.RestApiId), Stage: value(in.Stage)}
	err := s.changeDomain(ctx, *in.DomainName, func(tx kv.Tx, row *customdomain.Row) error {
		if _, taken := row.Find(m.BasePath); taken {
			return conflict("Base path already exists for this domain name")
		}
		if len(row.Mappings) >= customdomain.MaxMappings {
			return &api.LimitExceededException{Message: new("Maximum number of base path mappings for this domain name has been reached")}
		}
		if err := checkMapping(tx, scopeOf(ctx), &m); err != nil {
			return err
		}
		row.Set(len(row.Mappings), m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return mappingOf(&m), nil
}

func (s *Service) GetBasePathMapping(ctx context.Context, in *api.GetBasePathMappingInput) (*api.BasePathMapping, error) {
	row, err := s.viewDomain(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	i, err := findMapping(row, *in.BasePath)
	if err != nil {
		return nil, err
	}
	return mappingOf(&row.Mappings[i]), nil
}

// GetBasePathMappings lists the mappings of a domain name in one page, as there are few. Those of several levels, which this
// API cannot make, are shown by the other one alone.
func (s *Service) GetBasePathMappings(ctx context.Context, in *api.GetBasePathMappingsInput) (*api.BasePathMappings, error) {
	if _, err := pageSize(in.Limit); err != nil {
		return nil, err
	}
	row, err := s.viewDomain(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	out := &api.BasePathMappings{}
	for i := range row.Mappings {
		if m := &row.Mappings[i]; !strings.Contains(m.BasePath, "/") {
			out.Items = append(out.Items, *mappingOf(m))
		}
	}
	return out, nil
}

func (s *Service) UpdateBasePathMapping(ctx context.Context, in *api.UpdateBasePathMappingInput) (*api.BasePathMapping, error) {
	var out *api.BasePathMapping
	err := s.changeDomain(ctx, *in.DomainName, func(tx kv.Tx, row *customdomain.Row) error {
		i, err := findMapping(row, *in.BasePath)
		if err != nil {
			return err
		}
		m := row.Mappings[i]
		shown := mappingOf(&m)
		err = applyPatches(in.PatchOperations, []patchRule{
			{"replace", "/basePath", setString(&shown.BasePath)},
			{"replace", "/restapiId", setString(&shown.RestApiId)},
			{"replace", "/stage", setString(&shown.Stage)},
		})
		if err != nil {
			return err
		}
		m.BasePath, m.API, m.Stage = basePath(value(shown.BasePath)), value(shown.RestApiId), value(shown.Stage)
		if j, taken := row.Find(m.BasePath); taken && j != i {
			return conflict("Base path already exists for this domain name")
		}
		if err := checkMapping(tx, scopeOf(ctx), &m); err != nil {
			return err
		}
		row.Set(i, m)
		out = mappingOf(&m)
		return nil
	})
	return out, err
}

func (s *Service) DeleteBasePathMapping(ctx context.Context, in *api.DeleteBasePathMappingInput) (*api.DeleteBasePathMappingOutput, error) {
	err := s.changeDomain(ctx, *in.DomainName, func(_ kv.Tx, row *customdomain.Row) error {
		i, err := findMapping(row, *in.BasePath)
		if err == nil {
			row.Mappings = slices.Delete(row.Mappings, i, i+1)
		}
		return err
	})
	return new(api.DeleteBasePathMappingOutput), err
}

// CheckStage says whether an API is a REST API of an account in a region, and has a stage: for those who map a custom domain
// name to it.
func (s *Service) CheckStage(r kv.Reader, account, region, apiID, stage string) (known bool, err error) {
	sc := scope{account, region}
	row, err := get[api.RestApi](r, restAPIKey(sc, apiID))
	if err != nil || row == nil {
		return false, err
	}
	_, err = getStage(r, sc, apiID, stage)
	return true, err
}

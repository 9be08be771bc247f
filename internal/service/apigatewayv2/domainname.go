package apigatewayv2

import (
	"context"
	"slices"
	"strings"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/awserr"
	"brume/internal/customdomain"
	"brume/internal/kv"
	"brume/internal/kv/jsonrow"
)

// REST knows the REST APIs, which custom domain names may lead to besides those of this service.
type REST interface {
	// CheckStage says whether an API is a REST API of an account in a region. err says what is wrong with its stage.
	CheckStage(r kv.Reader, account, region, apiID, stage string) (known bool, err error)
}

// mappingSelection is how every HTTP API's domain name chooses mappings.
const mappingSelection = "$request.basepath"

// domainOf shows a custom domain name as it is known here.
func domainOf(row *customdomain.Row) *api.DomainName {
	c := api.DomainNameConfiguration{
		ApiGatewayDomainName: &row.Target, DomainNameStatus: new(api.DomainNameStatusAvailable), EndpointType: &row.Endpoint, SecurityPolicy: &row.SecurityPolicy,
		CertificateUploadDate: &row.Certificate.Uploaded,
	}
	for to, v := range map[**string]string{
		&c.CertificateArn: row.Certificate.ARN, &c.CertificateName: row.Certificate.Name, &c.OwnershipVerificationCertificateArn: row.OwnershipARN,
	} {
		if v != "" {
			*to = &v
		}
	}
	return &api.DomainName{
		ApiMappingSelectionExpression: new(mappingSelection), DomainName: &row.Name, DomainNameConfigurations: []api.DomainNameConfiguration{c}, Tags: row.Tags,
	}
}

// configure takes over the configuration of an endpoint.
func configure(row *customdomain.Row, list []api.DomainNameConfiguration, tls *api.MutualTlsAuthenticationInput) error {
	if tls != nil && value(tls.TruststoreUri) != "" {
		return awserr.NotImplemented("a domain name with mutualTlsAuthentication")
	}
	if len(list) != 1 {
		return invalid("Invalid input: a domain name has one domain name configuration")
	}
	c := &list[0]
	if e := value(c.EndpointType); e != "" && e != customdomain.Regional {
		return onlyRegional()
	}
	row.Endpoint = customdomain.Regional
	if c.SecurityPolicy != nil {
		row.SecurityPolicy = *c.SecurityPolicy
	}
	if row.SecurityPolicy != api.SecurityPolicyTls12 {
		return invalid("Invalid securityPolicy: the domain names of HTTP APIs have %s", api.SecurityPolicyTls12)
	}
	if c.CertificateArn != nil {
		row.Certificate.ARN = *c.CertificateArn
	}
	if c.CertificateName != nil {
		row.Certificate.Name = *c.CertificateName
	}
	if c.OwnershipVerificationCertificateArn != nil {
		row.OwnershipARN = *c.OwnershipVerificationCertificateArn
	}
	return nil
}

func onlyRegional() error {
	return invalid("Only REGIONAL domain names can be managed through the API Gateway V2 API. For EDGE domain names, please use the API Gateway V1 API. " +
		"Also note that only REST APIs can be attached to EDGE domain names.")
}

// CreateDomainName takes a name of one's own for APIs: for HTTP and REST APIs alike, as it is the same name in both services.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/domainnames.html#CreateDomainName
func (s *Service) CreateDomainName(ctx context.Context, in *api.CreateDomainNameInput) (*api.CreateDomainNameOutput, error) {
	sc := scopeOf(ctx)
	row := &customdomain.Row{Account: sc.account, Region: sc.region, Name: customdomain.Fold(*in.DomainName), SecurityPolicy: api.SecurityPolicyTls12, Tags: in.Tags}
	if !customdomain.ValidName(row.Name) {
		return nil, invalid("The domain name '%s' is invalid", clip(row.Name))
	}
	if err := configure(row, in.DomainNameConfigurations, in.MutualTlsAuthentication); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	err := s.Store.Update(ctx, func(tx kv.Tx) error {
		taken, err := customdomain.Taken(tx, sc.account, row.Name)
		if err != nil {
			return err
		}
		if taken {
			return conflict("The domain name you provided already exists.")
		}
		row.Target, row.Certificate.Uploaded = "d-"+newID(10)+".execute-api."+sc.region+".amazonaws.com", tx.Now()
		return customdomain.Put(tx, row)
	})
	if err != nil {
		return nil, err
	}
	return (*api.CreateDomainNameOutput)(domainOf(row)), nil
}

func getDomain(r kv.Reader, sc scope, name string) (*customdomain.Row, error) {
	row, err := customdomain.Get(r, sc.account, sc.region, name)
	if err == nil && row == nil {
		err = notFound("Invalid domain name identifier specified")
	}
	return row, err
}

func (s *Service) viewDomain(ctx context.Context, name string) (row *customdomain.Row, err error) {
	err = s.Store.View(ctx, func(r kv.Reader) error {
		row, err = getDomain(r, scopeOf(ctx), name)
		return err
	})
	return row, err
}

// changeDomain reads a domain name, lets change work on it and writes it.
func (s *Service) changeDomain(ctx context.Context, name string, change func(tx kv.Tx, row *customdomain.Row) error) error {
	return s.Store.Update(ctx, func(tx kv.Tx) error {
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

func (s *Service) GetDomainName(ctx context.Context, in *api.GetDomainNameInput) (*api.GetDomainNameOutput, error) {
	row, err := s.viewDomain(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	return (*api.GetDomainNameOutput)(domainOf(row)), nil
}

func (s *Service) GetDomainNames(ctx context.Context, in *api.GetDomainNamesInput) (*api.GetDomainNamesOutput, error) {
	var all []api.DomainName
	err := s.Store.View(ctx, func(r kv.Reader) error {
		all = nil
		sc := scopeOf(ctx)
		for row, err := range customdomain.All(r, sc.account, sc.region) {
			if err != nil {
				return err
			}
			all = append(all, *domainOf(row))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	items, next, err := pageOf(all, func(d *api.DomainName) string { return *d.DomainName }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.GetDomainNamesOutput{Items: items, NextToken: next}, nil
}

func (s *Service) UpdateDomainName(ctx context.Context, in *api.UpdateDomainNameInput) (out *api.UpdateDomainNameOutput, err error) {
	err = s.changeDomain(ctx, *in.DomainName, func(_ kv.Tx, row *customdomain.Row) error {
		list := in.DomainNameConfigurations
		if list == nil {
			list = []api.DomainNameConfiguration{{EndpointType: &row.Endpoint}}
		}
		err := configure(row, list, in.MutualTlsAuthentication)
		out = (*api.UpdateDomainNameOutput)(domainOf(row))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteDomainName gives a name up, with its mappings.
func (s *Service) DeleteDomainName(ctx context.Context, in *api.DeleteDomainNameInput) (*api.DeleteDomainNameOutput, error) {
	err := s.Store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getDomain(tx, scopeOf(ctx), *in.DomainName); err != nil {
			return err
		}
		return customdomain.Delete(tx, *in.DomainName)
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteDomainNameOutput), nil
}

func mappingOf(m *customdomain.Mapping) *api.ApiMapping {
	return &api.ApiMapping{ApiId: &m.API, ApiMappingId: &m.ID, ApiMappingKey: &m.BasePath, Stage: &m.Stage}
}

// findMapping is the place of a mapping that is known by its id.
func findMapping(row *customdomain.Row, id string) (int, error) {
	i := slices.IndexFunc(row.Mappings, func(m customdomain.Mapping) bool { return m.ID == id })
	if i < 0 {
		return 0, notFound("Invalid ApiMapping identifier specified")
	}
	return i, nil
}

// checkMapping checks that a mapping can be one of a domain name, at the place i or behind the last, and that what it leads to
// exists.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-mappings.html
func (s *Service) checkMapping(r kv.Reader, sc scope, row *customdomain.Row, i int, m *customdomain.Mapping) error {
	if row.Endpoint != customdomain.Regional {
		return onlyRegional()
	}
	switch k := m.BasePath; {
	case strings.HasPrefix(k, "/"), strings.HasSuffix(k, "/"), strings.Contains(k, "//"):
		return invalid("An ApiMapping key should not start or end with a '/' or have consecutive '/'s")
	case !customdomain.ValidBasePath(k) || len(k) > 300:
		return invalid("An ApiMapping key may contain only letters, numbers and one of $-_.+!*'()/")
	}
	if j, taken := row.Find(m.BasePath); taken && j != i {
		return conflict("ApiMapping key already exists for this domain name")
	}
	if i >= customdomain.MaxMappings {
		return &api.TooManyRequestsException{LimitType: new("Maximum number of API mappings"), Message: new("Maximum number of API mappings for this domain name has been reached")}
	}
	socket, err := s.checkTarget(r, sc, m)
	if err != nil {
		return err
	}
	// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-custom-domain-names.html
	for j := range row.Mappings {
		other, err := jsonrow.Get[apiRow](r, apiKey(sc, row.Mappings[j].API))
		if err != nil {
			return err
		}
		if j != i && (other != nil && other.isSocket()) != socket {
			return invalid("A WebSocket API cannot be mapped to the same custom domain name as an HTTP API or a REST API")
		}
	}
	return nil
}

// checkTarget checks that the stage exists to which a mapping leads, and says whether it is one of a WebSocket API.
func (s *Service) checkTarget(r kv.Reader, sc scope, m *customdomain.Mapping) (socket bool, err error) {
	if s.REST != nil {
		if known, err := s.REST.CheckStage(r, sc.account, sc.region, m.API, m.Stage); known || err != nil {
			return false, err
		}
	}
	a, err := getAPI(r, sc, m.API)
	if err != nil {
		return false, err
	}
	if _, found := find(a.Stages, m.Stage, stageName); !found {
		return false, invalid("Invalid stage identifier specified")
	}
	return a.isSocket(), nil
}

// CreateApiMapping leads a base path of a domain name to a stage of an HTTP or REST API.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/domainnames-domainname-apimappings.html#CreateApiMapping
func (s *Service) CreateApiMapping(ctx context.Context, in *api.CreateApiMappingInput) (*api.CreateApiMappingOutput, error) {
	m := customdomain.Mapping{ID: newID(6), BasePath: value(in.ApiMappingKey), API: *in.ApiId, Stage: *in.Stage}
	err := s.changeDomain(ctx, *in.DomainName, func(tx kv.Tx, row *customdomain.Row) error {
		i := len(row.Mappings)
		if err := s.checkMapping(tx, scopeOf(ctx), row, i, &m); err != nil {
			return err
		}
		row.Set(i, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return (*api.CreateApiMappingOutput)(mappingOf(&m)), nil
}

func (s *Service) GetApiMapping(ctx context.Context, in *api.GetApiMappingInput) (*api.GetApiMappingOutput, error) {
	row, err := s.viewDomain(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	i, err := findMapping(row, *in.ApiMappingId)
	if err != nil {
		return nil, err
	}
	return (*api.GetApiMappingOutput)(mappingOf(&row.Mappings[i])), nil
}

func (s *Service) GetApiMappings(ctx context.Context, in *api.GetApiMappingsInput) (*api.GetApiMappingsOutput, error) {
	row, err := s.viewDomain(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	var all []api.ApiMapping
	for i := range row.Mappings {
		all = append(all, *mappingOf(&row.Mappings[i]))
	}
	id := func(m *api.ApiMapping) string { return *m.ApiMappingId }
	slices.SortFunc(all, func(a, b api.ApiMapping) int { return strings.Compare(id(&a), id(&b)) })
	items, next, err := pageOf(all, id, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.GetApiMappingsOutput{Items: items, NextToken: next}, nil
}

func (s *Service) UpdateApiMapping(ctx context.Context, in *api.UpdateApiMappingInput) (*api.UpdateApiMappingOutput, error) {
	var m customdomain.Mapping
	err := s.changeDomain(ctx, *in.DomainName, func(tx kv.Tx, row *customdomain.Row) error {
		i, err := findMapping(row, *in.ApiMappingId)
		if err != nil {
			return err
		}
		m = row.Mappings[i]
		m.API = *in.ApiId
		if in.ApiMappingKey != nil {
			m.BasePath = *in.ApiMappingKey
		}
		if in.Stage != nil {
			m.Stage = *in.Stage
		}
		if err := s.checkMapping(tx, scopeOf(ctx), row, i, &m); err != nil {
			return err
		}
		row.Set(i, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return (*api.UpdateApiMappingOutput)(mappingOf(&m)), nil
}

func (s *Service) DeleteApiMapping(ctx context.Context, in *api.DeleteApiMappingInput) (*api.DeleteApiMappingOutput, error) {
	err := s.changeDomain(ctx, *in.DomainName, func(_ kv.Tx, row *customdomain.Row) error {
		i, err := findMapping(row, *in.ApiMappingId)
		if err == nil {
			row.Mappings = slices.Delete(row.Mappings, i, i+1)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteApiMappingOutput), nil
}

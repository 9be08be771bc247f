package apigateway

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/service/apigateway/openapi"
)

// ImportRestApi makes an API of a document.
// https://docs.aws.amazon.com/apigateway/latest/api/API_ImportRestApi.html
func (s *Service) ImportRestApi(ctx context.Context, in *api.ImportRestApiInput) (*api.RestApi, error) {
	return s.importDocument(ctx, in.Body, in.Parameters, value(in.FailOnWarnings), func(tx kv.Tx, sc scope, def *openapi.Definition) (*api.RestApi, error) {
		row := newRestAPI(def.Name)
		if t := in.Parameters["endpointConfigurationTypes"]; t != "" {
			row.EndpointConfiguration.Types = []string{t}
		} else if len(def.EndpointTypes) > 0 {
			row.EndpointConfiguration.Types = def.EndpointTypes
		}
		return row, insertRestAPI(tx, sc, row)
	}, true)
}

// PutRestApi brings a document into an API. In the mode "overwrite" the API is afterwards what the document says, with
// its id, its stages and its endpoint as before, and resources at the same path keep their ids; in the mode "merge", the
// default, what the document does not mention stays.
// https://docs.aws.amazon.com/apigateway/latest/api/API_PutRestApi.html
func (s *Service) PutRestApi(ctx context.Context, in *api.PutRestApiInput) (*api.RestApi, error) {
	overwrite := false
	switch mode := value(in.Mode); mode {
	case "", "merge":
	case "overwrite":
		overwrite = true
	default:
		return nil, invalid("Invalid mode specified: %s. Valid options are merge, overwrite", clip(mode))
	}
	return s.importDocument(ctx, in.Body, in.Parameters, value(in.FailOnWarnings), func(tx kv.Tx, sc scope, _ *openapi.Definition) (*api.RestApi, error) {
		return getAPI(tx, sc, *in.RestApiId)
	}, overwrite)
}

// importDocument applies a document to the API that target returns. Nothing remains of an import that fails.
func (s *Service) importDocument(ctx context.Context, body []byte, parameters map[string]string, strict bool,
	target func(tx kv.Tx, sc scope, def *openapi.Definition) (*api.RestApi, error), overwrite bool) (*api.RestApi, error) {
	sc := scopeOf(ctx)
	options, err := importOptions(sc, parameters)
	if err != nil {
		return nil, err
	}
	// The first reading shows faults before anything is written, and says how the API is called.
	def, err := parseDocument(body, options)
	if err != nil {
		return nil, err
	}
	if strict && len(def.Warnings) > 0 {
		return nil, invalid("Warnings found during import:\n\t%s", strings.Join(def.Warnings, "\n\t"))
	}
	var row *api.RestApi
	err = s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if row, err = target(tx, sc, def); err != nil {
			return err
		}
		options.RestAPI = *row.Id
		def, err := parseDocument(body, options) // now that references can name the API
		if err != nil {
			return err
		}
		i := &importer{service: s, tx: tx, sc: sc, row: row, def: def, overwrite: overwrite}
		return i.apply()
	})
	if err != nil {
		return nil, err
	}
	row.Warnings = def.Warnings
	return row, nil
}

// importOptions are the parameters of an import into an account and region.
func importOptions(sc scope, parameters map[string]string) (openapi.Options, error) {
	o := openapi.Options{BasePath: parameters["basepath"], IgnoreDocumentation: parameters["ignore"] == "documentation", Account: sc.account, Region: sc.region}
	switch o.BasePath {
	case "", "ignore", "prepend", "split":
		return o, nil
	}
	return o, invalid("Invalid value for the parameter basepath: %s. Valid options are ignore, prepend, split", clip(o.BasePath))
}

func parseDocument(body []byte, o openapi.Options) (*openapi.Definition, error) {
	def, err := openapi.Parse(body, o)
	var fault *openapi.Error
	if errors.As(err, &fault) {
		return nil, invalid("%s", fault.Reason)
	}
	return def, err
}

// An importer brings one definition into one API, within one transaction.
type importer struct {
	service   *Service
	tx        kv.Tx
	sc        scope
	row       *api.RestApi
	def       *openapi.Definition
	overwrite bool
	// validators and authorizers are the ids by name.
	validators, authorizers map[string]string
}

// at says where in the document a fault lies. Faults that are no client's pass as they are.
func at(err error, format string, args ...any) error {
	var known awserr.Error
	if err == nil || !errors.As(err, &known) || known.ErrorCode() == awserr.CodeNotImplemented {
		return err
	}
	return invalid("Errors found during import:\n\t"+format+": %s", append(args, known.ErrorMessage())...)
}

func (i *importer) id() string { return *i.row.Id }

func (i *importer) apply() error {
	for _, step := range []func() error{i.settings, i.models, i.namedParts, i.gatewayResponses, i.resources, i.documentation} {
		if err := step(); err != nil {
			return err
		}
	}
	return touchAPI(i.tx, i.sc, i.id())
}

func (i *importer) settings() error {
	d := i.def
	i.row.Name = &d.Name
	if d.Description != "" || i.overwrite {
		i.row.Description = nonEmpty(d.Description)
	}
	if d.Version != "" {
		i.row.Version = &d.Version
	}
	if d.BinaryMediaTypes != nil || i.overwrite {
		i.row.BinaryMediaTypes = d.BinaryMediaTypes
	}
	if d.MinimumCompressionSize != nil || i.overwrite {
		i.row.MinimumCompressionSize = d.MinimumCompressionSize
	}
	if d.APIKeySource != "" {
		i.row.ApiKeySource = &d.APIKeySource
	}
	if d.Policy != "" {
		if err := setPolicy(i.sc, i.row, d.Policy); err != nil {
			return at(err, "Unable to set the resource policy")
		}
	}
	i.row.DisableExecuteApiEndpoint = new(d.DisableExecuteAPI)
	if err := checkAPI(i.row); err != nil {
		return at(err, "Unable to set the API's properties")
	}
	return put(i.tx, restAPIKey(i.sc, i.id()), i.row)
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (i *importer) models() error {
	if i.overwrite {
		if err := deleteRange(i.tx, kv.Prefix(inScope(tagModel, i.sc, i.id()))); err != nil {
			return err
		}
		for _, m := range defaultModels() {
			if err := putNewModel(i.tx, i.sc, i.id(), m); err != nil {
				return err
			}
		}
	}
	if len(i.def.Models) > maxModels {
		return limitExceeded("models")
	}
	for n := range i.def.Models {
		m := &i.def.Models[n]
		if err := checkModel(m); err != nil {
			return at(err, "Unable to create model '%s'", *m.Name)
		}
		if err := putNewModel(i.tx, i.sc, i.id(), m); err != nil {
			return err
		}
	}
	return nil
}

// namedParts brings in what methods refer to by name: validators and authorizers. One of a name that is there keeps its id.
func (i *importer) namedParts() error {
	i.validators, i.authorizers = map[string]string{}, map[string]string{}
	oldValidators, err := validators().all(i.tx, i.sc, i.id())
	if err != nil {
		return err
	}
	for _, v := range oldValidators {
		i.validators[value(v.Name)] = *v.Id
	}
	for n := range i.def.Validators {
		v := &i.def.Validators[n]
		id, ok := i.validators[*v.Name]
		if !ok {
			if id, err = validators().newID(i.tx, i.sc, i.id()); err != nil {
				return err
			}
		}
		v.Id, i.validators[*v.Name] = &id, id
		if err := validators().put(i.tx, i.sc, i.id(), id, v); err != nil {
			return err
		}
	}
	oldAuthorizers, err := authorizers().all(i.tx, i.sc, i.id())
	if err != nil {
		return err
	}
	for _, a := range oldAuthorizers {
		i.authorizers[value(a.Name)] = *a.Id
	}
	for n := range i.def.Authorizers {
		a := &i.def.Authorizers[n]
		completeAuthorizer(a)
		if err := checkAuthorizer(a); err != nil {
			return at(err, "Unable to create authorizer '%s'", *a.Name)
		}
		id, ok := i.authorizers[*a.Name]
		if !ok {
			if id, err = authorizers().newID(i.tx, i.sc, i.id()); err != nil {
				return err
			}
		}
		a.Id, i.authorizers[*a.Name] = &id, id
		if err := authorizers().put(i.tx, i.sc, i.id(), id, a); err != nil {
			return err
		}
	}
	return nil
}

func (i *importer) gatewayResponses() error {
	if i.overwrite {
		if err := deleteRange(i.tx, kv.Prefix(inScope(tagGatewayResponse, i.sc, i.id()))); err != nil {
			return err
		}
	}
	for n := range i.def.GatewayResponses {
		g := &i.def.GatewayResponses[n]
		if _, ok := gatewayResponseStatus()[*g.ResponseType]; !ok {
			return at(invalid("Invalid gateway response type specified"), "Unable to put gateway response '%s'", *g.ResponseType)
		}
		completeGatewayResponse(g)
		if err := checkGatewayResponse(g); err != nil {
			return at(err, "Unable to put gateway response '%s'", *g.ResponseType)
		}
		if err := gatewayResponses().put(i.tx, i.sc, i.id(), *g.ResponseType, g); err != nil {
			return err
		}
	}
	return nil
}

// resources makes the resources of the document's paths and puts its methods into them.
func (i *importer) resources() error {
	all, err := resourcesOf(i.tx, i.sc, i.id())
	if err != nil {
		return err
	}
	wanted := map[string]bool{"/": true}
	for _, path := range i.def.Paths {
		if len(path) > edge.MaxHeader { // no request can name it
			return at(invalid("The path is too long"), "Unable to create resource at path '%s'", clip(path))
		}
		at := ""
		for _, part := range splitPath(path) {
			at += "/" + part
			wanted[at] = true
		}
		if len(wanted) > maxResources {
			return limitExceeded("resources")
		}
	}
	byPath := map[string]*api.Resource{}
	kept := all[:0]
	for _, r := range all {
		if i.overwrite && !wanted[*r.Path] {
			if err := i.tx.Delete(resourceKey(i.sc, i.id(), *r.Id)); err != nil {
				return err
			}
			continue
		}
		if i.overwrite {
			r.ResourceMethods = nil
		}
		byPath[*r.Path] = r
		kept = append(kept, r)
	}
	for _, path := range slices.Sorted(maps.Keys(wanted)) {
		if byPath[path] != nil {
			continue
		}
		if len(kept) >= maxResources {
			return limitExceeded("resources")
		}
		// Those above it stand before it in the order.
		cut := strings.LastIndexByte(path, '/')
		parent, part := byPath["/"], path[cut+1:]
		if cut > 0 {
			parent = byPath[path[:cut]]
		}
		r := &api.Resource{Id: new(newID(6)), ParentId: parent.Id, PathPart: &part, Path: &path}
		err := checkPathPart(part)
		if err == nil {
			err = checkPlace(kept, parent, *r.Id, part)
		}
		if err != nil {
			return at(err, "Unable to create resource at path '%s'", path)
		}
		byPath[path] = r
		kept = append(kept, r)
	}
	for n := range i.def.Methods {
		m := &i.def.Methods[n]
		if err := i.method(byPath[m.Path], m); err != nil {
			return err
		}
	}
	for _, r := range kept {
		if err := put(i.tx, resourceKey(i.sc, i.id(), *r.Id), r); err != nil {
			return err
		}
	}
	return nil
}

// method checks a method as the operations that put its parts one by one do, and puts it into its resource.
func (i *importer) method(r *api.Resource, m *openapi.Method) error {
	if name := value(m.RequestValidatorId); name != "" {
		m.RequestValidatorId = new(i.validators[name])
	}
	if name := value(m.AuthorizerId); name != "" {
		m.AuthorizerId = new(i.authorizers[name])
	}
	if err := checkMethod(i.tx, i.sc, i.id(), &m.Method); err != nil {
		return at(err, "Unable to put method '%s' on resource at path '%s'", *m.HttpMethod, m.Path)
	}
	for _, response := range m.MethodResponses {
		if err := checkMethodResponse(i.tx, i.sc, i.id(), &response); err != nil {
			return at(err, "Unable to put response '%s' of method '%s' on resource at path '%s'", *response.StatusCode, *m.HttpMethod, m.Path)
		}
	}
	if in := m.MethodIntegration; in != nil {
		completeIntegration(in, *r.Id)
		err := i.service.checkIntegration(in)
		if err == nil {
			err = checkDeclared(&m.Method, in.RequestParameters)
		}
		if err != nil {
			return at(err, "Unable to put integration on '%s' for resource at path '%s'", *m.HttpMethod, m.Path)
		}
		for _, response := range in.IntegrationResponses {
			// A proxy integration maps no response: what the document says of one need not lead to a response of the method.
			if _, leads := m.MethodResponses[*response.StatusCode]; !leads && strings.HasSuffix(*in.Type, "_PROXY") {
				continue
			}
			if err := checkIntegrationResponse(&m.Method, &response); err != nil {
				return at(err, "Unable to put integration response on '%s' for resource at path '%s'", *m.HttpMethod, m.Path)
			}
		}
	}
	if r.ResourceMethods == nil {
		r.ResourceMethods = map[string]api.Method{}
	}
	r.ResourceMethods[*m.HttpMethod] = m.Method
	return nil
}

func (i *importer) documentation() error {
	if i.overwrite {
		if err := deleteRange(i.tx, kv.Prefix(inScope(tagDocPart, i.sc, i.id()))); err != nil {
			return err
		}
	}
	_, _, err := importParts(i.tx, i.sc, i.id(), i.def.Documentation, true)
	return err
}

// importParts writes documentation parts. Where a location has a part already, replace says whether it is overwritten; if
// not, the part is passed over with a warning.
func importParts(tx kv.Tx, sc scope, apiID string, parts []api.DocumentationPart, replace bool) (ids, warnings []string, err error) {
	all, err := docParts().all(tx, sc, apiID)
	if err != nil {
		return nil, nil, err
	}
	if len(all)+len(parts) > maxDocParts {
		return nil, nil, limitExceeded("documentation parts")
	}
	placed := make(map[string]*api.DocumentationPart, len(all))
	for _, p := range all {
		placed[locationKey(p.Location)] = p
	}
	for n := range parts {
		p := &parts[n]
		if err := completeLocation(p.Location); err != nil {
			return nil, nil, at(err, "Unable to create documentation part %d", n+1)
		}
		if err := checkProperties(p.Properties); err != nil {
			return nil, nil, at(err, "Unable to create documentation part %d", n+1)
		}
		old := placed[locationKey(p.Location)]
		switch {
		case old == nil:
			id, err := docParts().newID(tx, sc, apiID)
			if err != nil {
				return nil, nil, err
			}
			p.Id = &id
			placed[locationKey(p.Location)] = p
		case replace:
			p.Id, old.Properties = old.Id, p.Properties
		default:
			warnings = append(warnings, "Documentation part already exists for the specified location: type '"+*p.Location.Type+"'")
			continue
		}
		if err := docParts().put(tx, sc, apiID, *p.Id, p); err != nil {
			return nil, nil, err
		}
		ids = append(ids, *p.Id)
	}
	return ids, warnings, nil
}

// ImportDocumentationParts takes the documentation of a document, and nothing else of it.
// https://docs.aws.amazon.com/apigateway/latest/api/API_ImportDocumentationParts.html
func (s *Service) ImportDocumentationParts(ctx context.Context, in *api.ImportDocumentationPartsInput) (*api.DocumentationPartIds, error) {
	def, err := parseDocument(in.Body, openapi.Options{})
	if err != nil {
		return nil, err
	}
	sc := scopeOf(ctx)
	var out *api.DocumentationPartIds
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getAPI(tx, sc, *in.RestApiId); err != nil {
			return err
		}
		if value(in.Mode) == "overwrite" {
			if err := deleteRange(tx, kv.Prefix(inScope(tagDocPart, sc, *in.RestApiId))); err != nil {
				return err
			}
		}
		ids, warnings, err := importParts(tx, sc, *in.RestApiId, def.Documentation, false)
		if err != nil {
			return err
		}
		if value(in.FailOnWarnings) && len(warnings) > 0 {
			return invalid("Warnings found during import:\n\t%s", strings.Join(warnings, "\n\t"))
		}
		out = &api.DocumentationPartIds{Ids: ids, Warnings: warnings}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

package apigatewayv2

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/kv"
	"brume/internal/kv/jsonrow"
	"brume/internal/openapidoc"
)

// What stands in documents of OpenAPI 3.0 for the parts of an API.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
const (
	extIntegration  = "x-amazon-apigateway-integration"
	extIntegrations = "x-amazon-apigateway-integrations" // of components
	extAny          = "x-amazon-apigateway-any-method"
	extCors         = "x-amazon-apigateway-cors"
	extAuthorizer   = "x-amazon-apigateway-authorizer"
	extAuthType     = "x-amazon-apigateway-authtype"
	extTags         = "x-amazon-apigateway-tag-value"
	extDisable      = "x-amazon-apigateway-endpoint-configuration"
	extVersion      = "x-amazon-apigateway-importexport-version"
)

type object = map[string]any

// A document is an API as it is read from a document: its parts refer to each other by ids that are new.
type document struct {
	api.Api
	definition
	// warnings are of what cannot be, info of what has no meaning for HTTP APIs.
	warnings, info []string
}

// maxNotes bounds what is said of a document.
const maxNotes = 1000

func (d *document) warn(text string) {
	if len(d.warnings) < maxNotes {
		d.warnings = append(d.warnings, text)
	}
}

// ignore says which of the members of a part of the document have no meaning for HTTP APIs.
func (d *document) ignore(part object, at string, names ...string) {
	for _, name := range names {
		if _, ok := part[name]; ok && len(d.info) < maxNotes {
			d.info = append(d.info, at+"/"+name+" is not supported for HTTP APIs, and is ignored")
		}
	}
}

// readDocument reads a document for an account and region. What is not understood is a warning.
func readDocument(sc scope, body string, basepath *string) (*document, error) {
	doc, err := openapidoc.Decode(openapidoc.Resolve([]byte(body), sc.account, sc.region))
	if err != nil {
		return nil, invalid("%s", err.Error())
	}
	if v, _ := doc["openapi"].(string); !strings.HasPrefix(v, "3.0") {
		return nil, invalid("Unsupported OpenAPI version. HTTP APIs are imported from OpenAPI 3.0")
	}
	info := child(doc, "info")
	d := &document{}
	d.Name, d.Version, d.Description = text(info, "title"), text(info, "version"), text(info, "description")
	if d.Name == nil {
		return nil, invalid("Unable to create API: the document has no info.title")
	}
	for _, t := range list(doc, "tags") {
		tag, _ := t.(object)
		if name, v := text(tag, "name"), text(tag, extTags); name != nil && v != nil {
			if d.Tags == nil {
				d.Tags = map[string]string{}
			}
			d.Tags[*name] = *v
		}
	}
	if c := child(doc, extCors); len(c) > 0 {
		if d.Cors, err = readCors(c); err != nil {
			return nil, err
		}
	}
	if child(doc, extDisable)["disableExecuteApiEndpoint"] == true {
		d.DisableExecuteApiEndpoint = new(true)
	}
	d.ignore(doc, "#", "x-amazon-apigateway-api-key-source", "x-amazon-apigateway-binary-media-types", "x-amazon-apigateway-documentation",
		"x-amazon-apigateway-gateway-responses", "x-amazon-apigateway-minimum-compression-size", "x-amazon-apigateway-request-validator", "x-amazon-apigateway-request-validators")
	d.ignore(child(doc, "components"), "#/components", "schemas", "requestBodies")
	if _, ok := doc["x-amazon-apigateway-policy"]; ok {
		d.warn("HTTP APIs have no resource policies: x-amazon-apigateway-policy is ignored")
	}
	authorizers := d.readAuthorizers(child(child(doc, "components"), "securitySchemes"))
	shared := child(child(doc, "components"), extIntegrations)
	prefix, err := basePath(doc, value(basepath))
	if err != nil {
		return nil, err
	}
	references := map[string]string{} // of integrations that stand in the components
	paths := child(doc, "paths")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := child(paths, path)
		for _, name := range slices.Sorted(maps.Keys(item)) {
			method := strings.ToUpper(name)
			if name == extAny {
				method = "ANY"
			} else if !strings.Contains(methods, " "+method+" ") || method == "ANY" {
				continue
			}
			op := child(item, name)
			key := method + " " + prefix + path
			if strings.TrimPrefix(path, "/") == defaultRoute {
				key = defaultRoute
			}
			r := api.Route{RouteId: new(newID(7)), RouteKey: &key, ApiKeyRequired: new(false), OperationName: text(op, "operationId"), AuthorizationType: new(api.AuthorizationTypeNone)}
			if r.OperationName != nil && len(*r.OperationName) > 64 {
				r.OperationName = new((*r.OperationName)[:64])
			}
			d.ignore(op, "#/paths"+clip(path)+"/"+name, "requestBody", "x-amazon-apigateway-request-validator")
			target, err := d.readIntegration(key, child(op, extIntegration), shared, references)
			if err != nil {
				return nil, err
			}
			r.Target = target
			security := list(op, "security")
			if security == nil {
				security = list(doc, "security")
			}
			if err := d.secure(&r, security, authorizers); err != nil {
				return nil, err
			}
			d.Routes = insert(d.Routes, r, routeID)
		}
	}
	if len(d.Authorizers) > maxAuthorizers || len(d.Routes) > maxRoutes {
		return nil, invalid("The document has more routes or authorizers than an API can have")
	}
	row := &apiRow{definition: d.definition}
	for i := range row.Routes {
		if err := row.checkRoute(&row.Routes[i]); err != nil {
			return nil, err
		}
	}
	return d, checkCors(d.Cors)
}

// basePath is what stands before every path, as basepath has it: ignore, prepend or split.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api-basePath.html
func basePath(doc object, mode string) (string, error) {
	if mode == "" || mode == "ignore" {
		return "", nil
	}
	if mode != "prepend" && mode != "split" {
		return "", invalid("Invalid basepath: it is ignore, prepend or split")
	}
	path := ""
	if servers := list(doc, "servers"); len(servers) > 0 {
		server, _ := servers[0].(object)
		if v := text(child(child(server, "variables"), "basePath"), "default"); v != nil {
			path = *v
		} else if u := text(server, "url"); u != nil {
			_, rest, _ := strings.Cut(*u, "://")
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				path = rest[i:]
			}
		}
	}
	path = strings.Trim(path, "/")
	if mode == "split" {
		_, path, _ = strings.Cut(path, "/")
	}
	if path == "" || strings.ContainsAny(path, "{}") {
		return "", nil
	}
	return "/" + path, nil
}

// readAuthorizers reads the security schemes, and returns the authorizers' ids by the schemes' names; AWS_IAM for signatures.
func (d *document) readAuthorizers(schemes object) map[string]string {
	ids := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(schemes)) {
		scheme := child(schemes, name)
		if t := text(scheme, extAuthType); t != nil && strings.EqualFold(*t, "awsSigv4") {
			ids[name] = api.AuthorizationTypeAwsIam
			continue
		}
		ext := child(scheme, extAuthorizer)
		if len(ext) == 0 {
			d.warn("The security scheme " + clip(name) + " has no " + extAuthorizer + ", and authorizes nobody")
			continue
		}
		in := &api.CreateAuthorizerInput{
			Name: &name, AuthorizerType: new(api.AuthorizerTypeRequest), AuthorizerUri: text(ext, "authorizerUri"), AuthorizerCredentialsArn: text(ext, "authorizerCredentials"),
			AuthorizerPayloadFormatVersion: formatVersion(ext, "authorizerPayloadFormatVersion"), AuthorizerResultTtlInSeconds: integer(ext, "authorizerResultTtlInSeconds"),
		}
		if v, ok := ext["enableSimpleResponses"].(bool); ok {
			in.EnableSimpleResponses = &v
		}
		in.IdentitySource = textList(ext, "identitySource")
		if s := text(ext, "identitySource"); s != nil {
			for source := range strings.SplitSeq(*s, ",") {
				in.IdentitySource = append(in.IdentitySource, strings.TrimSpace(source))
			}
		}
		if t := text(ext, "type"); t != nil && strings.EqualFold(*t, "jwt") {
			in.AuthorizerType = new(api.AuthorizerTypeJwt)
			jwt := child(ext, "jwtConfiguration")
			in.JwtConfiguration = &api.JWTConfiguration{Issuer: text(jwt, "issuer"), Audience: textList(jwt, "audience")}
			if u := text(scheme, "openIdConnectUrl"); u != nil && in.JwtConfiguration.Issuer == nil {
				in.JwtConfiguration.Issuer = new(strings.TrimSuffix(*u, "/.well-known/openid-configuration"))
			}
			if len(in.IdentitySource) == 0 {
				in.IdentitySource = []string{"$request.header.Authorization"}
			}
		}
		a, err := newAuthorizer(in)
		if err != nil {
			d.warn("The security scheme " + clip(name) + " is left out: " + messageOf(err))
			continue
		}
		ids[name] = *a.AuthorizerId
		d.Authorizers = insert(d.Authorizers, *a, authorizerID)
	}
	return ids
}

// secure gives a route the authorizer that its operation asks for. An operation whose scheme is not understood is open to
// nobody. A route can have one alone.
func (d *document) secure(r *api.Route, security []any, authorizers map[string]string) error {
	var schemes []string
	requirement := object{}
	for _, s := range security {
		one, _ := s.(object)
		schemes = append(schemes, slices.Sorted(maps.Keys(one))...)
		maps.Copy(requirement, one)
	}
	switch {
	case len(security) > 1 || len(schemes) > 1:
		return invalid("The route %s has several security requirements. An operation has one of IAM authorization, a Lambda authorizer, or a JWT authorizer.", clip(*r.RouteKey))
	case len(schemes) == 0:
		return nil
	}
	name := schemes[0]
	id, ok := authorizers[name]
	switch {
	case !ok:
		d.warn("The route " + clip(*r.RouteKey) + " asks for the security scheme " + clip(name) + ", which authorizes nobody: it takes signed requests alone")
		r.AuthorizationType = new(api.AuthorizationTypeAwsIam)
	case id == api.AuthorizationTypeAwsIam:
		r.AuthorizationType = &id
	default:
		r.AuthorizerId, r.AuthorizationType = &id, new(api.AuthorizationTypeCustom)
		if i, found := find(d.Authorizers, id, authorizerID); found && *d.Authorizers[i].AuthorizerType == api.AuthorizerTypeJwt {
			r.AuthorizationType, r.AuthorizationScopes = new(api.AuthorizationTypeJwt), textList(requirement, name)
		}
	}
	return nil
}

// readIntegration reads the integration of a route's operation, and returns the target of the route; nil for none, or for one
// of a type that HTTP APIs do not have.
func (d *document) readIntegration(key string, ext, shared object, references map[string]string) (*string, error) {
	if len(ext) == 0 {
		return nil, nil
	}
	if ref := text(ext, "$ref"); ref != nil {
		name := strings.TrimPrefix(*ref, "#/components/"+extIntegrations+"/")
		if t, ok := references[name]; ok {
			return &t, nil
		}
		if ext = child(shared, name); len(ext) == 0 {
			return nil, invalid("Unable to resolve reference %s", clip(*ref))
		}
		t, err := d.readIntegration(key, ext, nil, references)
		if t != nil {
			references[name] = *t
		}
		return t, err
	}
	switch t := strings.ToUpper(value(text(ext, "type"))); t {
	case api.IntegrationTypeAws, api.IntegrationTypeHttp, api.IntegrationTypeMock:
		d.warn("The route " + clip(key) + " has an integration of the type " + t + ". HTTP APIs have the types AWS_PROXY and HTTP_PROXY: it has none")
		return nil, nil
	}
	in := &api.CreateIntegrationInput{
		IntegrationType: new(strings.ToUpper(value(text(ext, "type")))), IntegrationUri: text(ext, "uri"), IntegrationMethod: text(ext, "httpMethod"),
		CredentialsArn: text(ext, "credentials"), PayloadFormatVersion: formatVersion(ext, "payloadFormatVersion"), TimeoutInMillis: integer(ext, "timeoutInMillis"),
		Description: text(ext, "description"), IntegrationSubtype: text(ext, "integrationSubtype"), ConnectionType: text(ext, "connectionType"),
		RequestParameters: textMap(ext, "requestParameters"),
	}
	if responses := child(ext, "responseParameters"); len(responses) > 0 {
		in.ResponseParameters = map[string]map[string]string{}
		for code := range responses {
			in.ResponseParameters[code] = textMap(responses, code)
		}
	}
	i, err := newIntegration(in)
	if err != nil {
		return nil, err
	}
	d.Integrations = insert(d.Integrations, *i, integrationID)
	return new("integrations/" + *i.IntegrationId), nil
}

func readCors(c object) (*api.Cors, error) {
	cors := &api.Cors{
		AllowOrigins: textList(c, "allowOrigins"), AllowMethods: textList(c, "allowMethods"), AllowHeaders: textList(c, "allowHeaders"),
		ExposeHeaders: textList(c, "exposeHeaders"), MaxAge: integer(c, "maxAge"),
	}
	if v, ok := c["allowCredentials"].(bool); ok {
		cors.AllowCredentials = &v
	}
	if m := cors.MaxAge; m != nil && (*m < -1 || *m > 86400) {
		return nil, invalid("maxAge is between -1 and 86400")
	}
	return cors, nil
}

func messageOf(err error) string {
	if e, ok := err.(interface{ ErrorMessage() string }); ok {
		return e.ErrorMessage()
	}
	return err.Error()
}

// ImportApi makes an API of a document.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis.html#ImportApi
func (s *Service) ImportApi(ctx context.Context, in *api.ImportApiInput) (*api.ImportApiOutput, error) {
	d, err := readDocument(scopeOf(ctx), *in.Body, in.Basepath)
	if err != nil {
		return nil, err
	}
	if err := d.refuseWarnings(in.FailOnWarnings); err != nil {
		return nil, err
	}
	if err := checkTags(d.Tags); err != nil {
		return nil, err
	}
	sc := scopeOf(ctx)
	row := &apiRow{}
	err = s.Store.Update(ctx, func(tx kv.Tx) error {
		*row = s.newAPI(tx, sc, d.Api, d.Cors)
		row.definition = d.definition
		if err := s.checkCount(tx, sc); err != nil {
			return err
		}
		return putAPI(tx, sc, row)
	})
	if err != nil {
		return nil, err
	}
	row.API.Warnings, row.API.ImportInfo = d.warnings, d.info
	return (*api.ImportApiOutput)(&row.API), nil
}

func (d *document) refuseWarnings(fail *bool) error {
	if value(fail) && len(d.warnings) > 0 {
		return invalid("Warnings found during import: %s", strings.Join(d.warnings, "; "))
	}
	return nil
}

// ReimportApi puts a document in the place of an API's routes, integrations, authorizers and CORS. Its stages stay.
func (s *Service) ReimportApi(ctx context.Context, in *api.ReimportApiInput) (*api.ReimportApiOutput, error) {
	d, err := readDocument(scopeOf(ctx), *in.Body, in.Basepath)
	if err != nil {
		return nil, err
	}
	if err := d.refuseWarnings(in.FailOnWarnings); err != nil {
		return nil, err
	}
	out := &api.ReimportApiOutput{}
	err = s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		if row.isSocket() {
			return invalid("OpenAPI documents are only supported for HTTP APIs")
		}
		row.definition = d.definition
		a := &row.API
		a.Name, a.Description, a.Version, a.CorsConfiguration = d.Name, d.Description, d.Version, d.Cors
		if d.DisableExecuteApiEndpoint != nil {
			a.DisableExecuteApiEndpoint = d.DisableExecuteApiEndpoint
		}
		*out = api.ReimportApiOutput(*a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.Warnings, out.ImportInfo = d.warnings, d.info
	return out, nil
}

// rolesInDocument lists the roles that a document hands over. One that cannot be read hands over none, and is refused later.
func rolesInDocument(sc scope, body *string) (roles []string) {
	d, err := readDocument(sc, value(body), nil)
	if err != nil {
		return nil
	}
	add := func(role *string) {
		if r := value(role); r != "" && !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	for i := range d.Integrations {
		add(d.Integrations[i].CredentialsArn)
	}
	for i := range d.Authorizers {
		add(d.Authorizers[i].AuthorizerCredentialsArn)
	}
	return roles
}

// ExportApi writes an API, or what a stage serves of it, as OpenAPI 3.0.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-export.html
func (s *Service) ExportApi(ctx context.Context, in *api.ExportApiInput) (*api.ExportApiOutput, error) {
	if *in.Specification != "OAS30" {
		return nil, invalid("Invalid specification: HTTP APIs are exported as OAS30")
	}
	if v := value(in.ExportVersion); v != "" && v != "1.0" {
		return nil, invalid("Invalid exportVersion: it is 1.0")
	}
	if *in.OutputType != "JSON" && *in.OutputType != "YAML" {
		return nil, invalid("Invalid outputType: it is JSON or YAML")
	}
	var row *apiRow
	err := s.Store.View(ctx, func(r kv.Reader) (err error) {
		if row, err = getAPI(r, scopeOf(ctx), *in.ApiId); err == nil && row.isSocket() {
			return invalid("Export is only supported for HTTP APIs")
		}
		if err != nil || in.StageName == nil {
			return err
		}
		i, found := find(row.Stages, *in.StageName, stageName)
		if !found {
			return noStage(*in.StageName)
		}
		id := value(row.Stages[i].DeploymentId)
		def, err := jsonrow.Get[definition](r, snapshotKey(*in.ApiId, id))
		if err == nil && def == nil {
			err = noDeployment(id)
		}
		if err == nil {
			row.definition = *def
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	doc := row.document(value(in.StageName), in.IncludeExtensions == nil || *in.IncludeExtensions)
	var data []byte
	if *in.OutputType == "JSON" {
		data, err = json.MarshalIndent(doc, "", "  ")
	} else {
		data, err = yaml.Marshal(doc)
	}
	if err != nil {
		return nil, err
	}
	return &api.ExportApiOutput{Body: data}, nil
}

// document is an API as a document.
func (row *apiRow) document(stage string, extensions bool) object {
	a := &row.API
	info := object{"title": *a.Name, "version": value(a.Version)}
	if info["version"] == "" {
		info["version"] = a.CreatedDate.UTC().Format("2006-01-02 15:04:05UTC")
	}
	if d := value(a.Description); d != "" {
		info["description"] = d
	}
	server := object{"url": value(a.ApiEndpoint)}
	if stage != "" && stage != defaultStage {
		server = object{"url": value(a.ApiEndpoint) + "/{basePath}", "variables": object{"basePath": object{"default": stage}}}
	}
	schemes, names := object{}, map[string]string{}
	for i := range row.Authorizers {
		names[*row.Authorizers[i].AuthorizerId] = *row.Authorizers[i].Name
		schemes[*row.Authorizers[i].Name] = schemeOf(&row.Authorizers[i], extensions)
	}
	paths := object{}
	for i := range row.Routes {
		r := &row.Routes[i]
		key, err := parseRouteKey(*r.RouteKey)
		if err != nil {
			continue // it was checked when it was made
		}
		method, path := strings.ToLower(key.method), key.path
		if key.method == "" {
			method, path = extAny, "/"+defaultRoute
		} else if key.method == "ANY" {
			method = extAny
		}
		op := object{"responses": object{"default": object{"description": "Default response for " + *r.RouteKey}}}
		if r.OperationName != nil {
			op["operationId"] = *r.OperationName
		}
		var parameters []any
		for _, s := range key.segments {
			if name := s.variable; name != "" {
				if s.greedy {
					name += "+"
				}
				parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"},
					"description": "Generated path parameter for " + name})
			}
		}
		if parameters != nil {
			op["parameters"] = parameters
		}
		switch id := value(r.AuthorizerId); {
		case id != "":
			scopes := []any{}
			for _, s := range r.AuthorizationScopes {
				scopes = append(scopes, s)
			}
			op["security"] = []any{object{names[id]: scopes}}
		case value(r.AuthorizationType) == api.AuthorizationTypeAwsIam:
			op["security"] = []any{object{"sigv4": []any{}}}
			sigv4 := object{"type": "apiKey", "name": "Authorization", "in": "header"}
			if extensions {
				sigv4[extAuthType] = "awsSigv4"
			}
			schemes["sigv4"] = sigv4
		}
		if j, found := find(row.Integrations, targetOf(r), integrationID); found && extensions {
			op[extIntegration] = integrationObject(&row.Integrations[j])
		}
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		if method == extAny && !extensions {
			for _, m := range []string{"get", "put", "post", "delete", "options", "head", "patch"} {
				if _, own := item[m]; !own {
					item[m] = op
				}
			}
			continue
		}
		item[method] = op
	}
	doc := object{"openapi": "3.0.1", "info": info, "servers": []any{server}, "paths": paths}
	if len(schemes) > 0 {
		doc["components"] = object{"securitySchemes": schemes}
	}
	var tags []any
	for _, k := range slices.Sorted(maps.Keys(a.Tags)) {
		tag := object{"name": k}
		if extensions {
			tag[extTags] = a.Tags[k]
		}
		tags = append(tags, tag)
	}
	if tags != nil {
		doc["tags"] = tags
	}
	if !extensions {
		return doc
	}
	doc[extVersion] = "1.0"
	if value(a.DisableExecuteApiEndpoint) {
		doc[extDisable] = object{"disableExecuteApiEndpoint": true}
	}
	if c := row.Cors; c != nil {
		o := object{}
		for name, values := range map[string][]string{"allowOrigins": c.AllowOrigins, "allowMethods": c.AllowMethods, "allowHeaders": c.AllowHeaders, "exposeHeaders": c.ExposeHeaders} {
			if len(values) > 0 {
				o[name] = values
			}
		}
		if c.MaxAge != nil {
			o["maxAge"] = *c.MaxAge
		}
		if c.AllowCredentials != nil {
			o["allowCredentials"] = *c.AllowCredentials
		}
		doc[extCors] = o
	}
	return doc
}

func schemeOf(a *api.Authorizer, extensions bool) object {
	ext := object{"identitySource": strings.Join(a.IdentitySource, ",")}
	scheme := object{"type": "apiKey", "name": "Unused", "in": "header"}
	for _, source := range a.IdentitySource {
		if name, ok := strings.CutPrefix(source, "$request.header."); ok {
			scheme["name"] = name
			break
		}
	}
	if *a.AuthorizerType == api.AuthorizerTypeJwt {
		scheme = object{"type": "oauth2", "flows": object{}}
		ext["type"], ext["jwtConfiguration"] = "jwt", object{"issuer": value(a.JwtConfiguration.Issuer), "audience": a.JwtConfiguration.Audience}
	} else {
		ext["type"] = "request"
		for name, v := range map[string]*string{
			"authorizerUri": a.AuthorizerUri, "authorizerCredentials": a.AuthorizerCredentialsArn, "authorizerPayloadFormatVersion": a.AuthorizerPayloadFormatVersion,
		} {
			if v != nil {
				ext[name] = *v
			}
		}
		ext["authorizerResultTtlInSeconds"], ext["enableSimpleResponses"] = value(a.AuthorizerResultTtlInSeconds), value(a.EnableSimpleResponses)
	}
	if extensions {
		scheme[extAuthorizer] = ext
	}
	return scheme
}

func integrationObject(i *api.Integration) object {
	o := object{"type": strings.ToLower(*i.IntegrationType), "connectionType": *i.ConnectionType, "timeoutInMillis": value(i.TimeoutInMillis)}
	for name, v := range map[string]*string{
		"uri": i.IntegrationUri, "httpMethod": i.IntegrationMethod, "credentials": i.CredentialsArn, "payloadFormatVersion": i.PayloadFormatVersion, "description": i.Description,
	} {
		if v != nil {
			o[name] = *v
		}
	}
	if len(i.RequestParameters) > 0 {
		o["requestParameters"] = i.RequestParameters
	}
	if len(i.ResponseParameters) > 0 {
		o["responseParameters"] = i.ResponseParameters
	}
	return o
}

// The functions below read a member of whatever kind; what has another kind is as if it were not there.

func child(o object, name string) object { c, _ := o[name].(object); return c }

func list(o object, name string) []any { l, _ := o[name].([]any); return l }

func text(o object, name string) *string {
	switch v := o[name].(type) {
	case string:
		if v != "" {
			return &v
		}
	case json.Number:
		return new(v.String())
	}
	return nil
}

// formatVersion reads "2.0", or the number that it may have been written as.
func formatVersion(o object, name string) *string {
	v := text(o, name)
	if v != nil && !strings.Contains(*v, ".") {
		return new(*v + ".0")
	}
	return v
}

func textList(o object, name string) (out []string) {
	for _, v := range list(o, name) {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func textMap(o object, name string) map[string]string {
	in := child(o, name)
	if len(in) == 0 {
		return nil
	}
	out := map[string]string{}
	for k, v := range in {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

// integer reads a number, or its text.
func integer(o object, name string) *int32 {
	n := text(o, name)
	if n == nil {
		return nil
	}
	i, err := strconv.ParseInt(*n, 10, 32)
	if err != nil {
		return nil
	}
	return new(int32(i))
}

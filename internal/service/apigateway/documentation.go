package apigateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

// maxDocumentation bounds the properties of a part, in bytes.
const maxDocumentation = 128 << 10

// docParts are the documentation of an API's parts, by an id.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-documenting-api.html
func docParts() children[api.DocumentationPart] {
	return children[api.DocumentationPart]{tagDocPart, func(string) error { return notFound("Invalid Documentation part identifier specified") }}
}

// docVersions are snapshots of the documentation, by the name that their maker gave them.
func docVersions() children[api.DocumentationVersion] {
	return children[api.DocumentationVersion]{tagDocVersion, func(string) error { return notFound("Invalid Documentation version specified") }}
}

// docSnapshots are the parts as they were when a version was made.
func docSnapshots() children[[]api.DocumentationPart] {
	return children[[]api.DocumentationPart]{tagDocSnapshot, func(string) error { return notFound("Invalid Documentation version specified") }}
}

// docPlace says which members of a location a kind of entity takes. A member that it takes and that is not given means
// every one ("*") for methods and status codes, the root for paths.
// https://docs.aws.amazon.com/apigateway/latest/api/API_DocumentationPartLocation.html
type docPlace struct{ path, method, status, name bool }

func docPlaces() map[string]docPlace {
	return map[string]docPlace{
		"API": {}, "AUTHORIZER": {name: true}, "MODEL": {name: true}, "RESOURCE": {path: true}, "METHOD": {path: true, method: true},
		"PATH_PARAMETER": {path: true, method: true, name: true}, "QUERY_PARAMETER": {path: true, method: true, name: true},
		"REQUEST_HEADER": {path: true, method: true, name: true}, "REQUEST_BODY": {path: true, method: true},
		"RESPONSE": {path: true, method: true, status: true}, "RESPONSE_HEADER": {path: true, method: true, status: true, name: true},
		"RESPONSE_BODY": {path: true, method: true, status: true},
	}
}

// completeLocation checks a location and fills in what may be left out.
func completeLocation(l *api.DocumentationPartLocation) error {
	place, ok := docPlaces()[value(l.Type)]
	if !ok {
		return invalid("Invalid Documentation part type specified: %s", clip(value(l.Type)))
	}
	for _, m := range []struct {
		member   string
		takes    bool
		value    **string
		fallback string
	}{
		{"path", place.path, &l.Path, "/"},
		{"method", place.method, &l.Method, "*"},
		{"statusCode", place.status, &l.StatusCode, "*"},
		{"name", place.name, &l.Name, ""},
	} {
		switch given := value(*m.value); {
		case given != "" && !m.takes:
			return invalid("Documentation part location field '%s' is not supported for the type %s", m.member, *l.Type)
		case given == "" && !m.takes:
			*m.value = nil
		case given == "" && m.fallback == "":
			return invalid("Documentation part location field '%s' is required for the type %s", m.member, *l.Type)
		case given == "":
			*m.value = &m.fallback
		}
	}
	return nil
}

func sameLocation(a, b *api.DocumentationPartLocation) bool { return locationKey(a) == locationKey(b) }

// locationKey is one text for every location.
func locationKey(l *api.DocumentationPartLocation) string {
	return fmt.Sprintf("%q %q %q %q %q", value(l.Type), value(l.Path), value(l.Method), value(l.StatusCode), value(l.Name))
}

// checkProperties wants a JSON object.
func checkProperties(p *string) error {
	var object map[string]any
	if len(value(p)) > maxDocumentation || json.Unmarshal([]byte(value(p)), &object) != nil {
		return invalid("Invalid Documentation part: Properties must be a valid JSON object")
	}
	return nil
}

// addDocPart writes a new part, whose location no other part of the API has.
func addDocPart(tx kv.Tx, sc scope, apiID string, row *api.DocumentationPart) error {
	all, err := docParts().all(tx, sc, apiID)
	if err != nil {
		return err
	}
	for _, other := range all {
		if sameLocation(other.Location, row.Location) {
			return conflict("Documentation part already exists for the specified location: type '%s'", *row.Location.Type)
		}
	}
	id, err := docParts().newID(tx, sc, apiID)
	if err != nil {
		return err
	}
	row.Id = &id
	return docParts().put(tx, sc, apiID, id, row)
}

func (s *Service) CreateDocumentationPart(ctx context.Context, in *api.CreateDocumentationPartInput) (*api.DocumentationPart, error) {
	sc := scopeOf(ctx)
	row := &api.DocumentationPart{Location: in.Location, Properties: in.Properties}
	if err := completeLocation(row.Location); err != nil {
		return nil, err
	}
	if err := checkProperties(row.Properties); err != nil {
		return nil, err
	}
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getAPI(tx, sc, *in.RestApiId); err != nil {
			return err
		}
		return addDocPart(tx, sc, *in.RestApiId, row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func (s *Service) GetDocumentationPart(ctx context.Context, in *api.GetDocumentationPartInput) (*api.DocumentationPart, error) {
	return docParts().view(ctx, s, *in.RestApiId, *in.DocumentationPartId)
}

func (s *Service) GetDocumentationParts(ctx context.Context, in *api.GetDocumentationPartsInput) (*api.DocumentationParts, error) {
	if status := value(in.LocationStatus); status == "UNDOCUMENTED" {
		return s.undocumented(ctx, in)
	}
	items, next, err := docParts().list(ctx, s, *in.RestApiId, in.Position, in.Limit, func(p *api.DocumentationPart) bool { return askedFor(in, p.Location) })
	return &api.DocumentationParts{Items: items, Position: next}, err
}

func askedFor(in *api.GetDocumentationPartsInput, l *api.DocumentationPartLocation) bool {
	return (in.Type == nil || *in.Type == value(l.Type)) && (in.Path == nil || *in.Path == value(l.Path)) &&
		(in.NameQuery == nil || strings.Contains(value(l.Name), *in.NameQuery))
}

// undocumented lists the entities of an API that no part documents. They are listed whole, in one page.
func (s *Service) undocumented(ctx context.Context, in *api.GetDocumentationPartsInput) (*api.DocumentationParts, error) {
	sc := scopeOf(ctx)
	out := &api.DocumentationParts{}
	err := s.store.View(ctx, func(r kv.Reader) error {
		if _, err := getAPI(r, sc, *in.RestApiId); err != nil {
			return err
		}
		parts, err := docParts().all(r, sc, *in.RestApiId)
		if err != nil {
			return err
		}
		places, err := documentable(r, sc, *in.RestApiId)
		if err != nil {
			return err
		}
		out.Items = []api.DocumentationPart{}
		documented := make(map[string]bool, len(parts))
		for _, p := range parts {
			documented[locationKey(p.Location)] = true
		}
		for _, l := range places {
			if askedFor(in, &l) && !documented[locationKey(&l)] {
				out.Items = append(out.Items, api.DocumentationPart{Location: &l})
			}
		}
		return nil
	})
	return out, err
}

// documentable are the locations of everything in an API that can be documented, but for parameters and headers.
func documentable(r kv.Reader, sc scope, apiID string) ([]api.DocumentationPartLocation, error) {
	out := []api.DocumentationPartLocation{{Type: new("API")}}
	allModels, err := models().all(r, sc, apiID)
	if err != nil {
		return nil, err
	}
	for _, m := range allModels {
		out = append(out, api.DocumentationPartLocation{Type: new("MODEL"), Name: m.Name})
	}
	allAuthorizers, err := authorizers().all(r, sc, apiID)
	if err != nil {
		return nil, err
	}
	for _, a := range allAuthorizers {
		out = append(out, api.DocumentationPartLocation{Type: new("AUTHORIZER"), Name: a.Name})
	}
	resources, err := resourcesOf(r, sc, apiID)
	if err != nil {
		return nil, err
	}
	for _, res := range resources {
		out = append(out, api.DocumentationPartLocation{Type: new("RESOURCE"), Path: res.Path})
		for _, m := range res.ResourceMethods {
			out = append(out, api.DocumentationPartLocation{Type: new("METHOD"), Path: res.Path, Method: m.HttpMethod})
			for _, response := range m.MethodResponses {
				out = append(out, api.DocumentationPartLocation{Type: new("RESPONSE"), Path: res.Path, Method: m.HttpMethod, StatusCode: response.StatusCode})
			}
		}
	}
	return out, nil
}

func (s *Service) UpdateDocumentationPart(ctx context.Context, in *api.UpdateDocumentationPartInput) (*api.DocumentationPart, error) {
	return docParts().change(ctx, s, *in.RestApiId, *in.DocumentationPartId, in.PatchOperations, func(row *api.DocumentationPart) []patchRule {
		return []patchRule{{"replace", "/properties", setString(&row.Properties)}}
	}, func(_ kv.Reader, row *api.DocumentationPart) error { return checkProperties(row.Properties) })
}

func (s *Service) DeleteDocumentationPart(ctx context.Context, in *api.DeleteDocumentationPartInput) (*api.DeleteDocumentationPartOutput, error) {
	err := docParts().delete(ctx, s, *in.RestApiId, *in.DocumentationPartId, nil)
	return new(api.DeleteDocumentationPartOutput), err
}

// CreateDocumentationVersion freezes the documentation as it is and, if a stage is named, publishes it there.
// https://docs.aws.amazon.com/apigateway/latest/api/API_CreateDocumentationVersion.html
func (s *Service) CreateDocumentationVersion(ctx context.Context, in *api.CreateDocumentationVersionInput) (*api.DocumentationVersion, error) {
	sc := scopeOf(ctx)
	var row *api.DocumentationVersion
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getAPI(tx, sc, *in.RestApiId); err != nil {
			return err
		}
		if v := *in.DocumentationVersion; v == "" || len(v) > 128 {
			return invalid("Invalid Documentation version specified")
		}
		taken, err := docVersions().exists(tx, sc, *in.RestApiId, *in.DocumentationVersion)
		if err != nil {
			return err
		}
		if taken {
			return conflict("Version already exists")
		}
		parts, err := docParts().all(tx, sc, *in.RestApiId)
		if err != nil {
			return err
		}
		frozen := make([]api.DocumentationPart, len(parts))
		for i, p := range parts {
			frozen[i] = *p
		}
		if err := docSnapshots().put(tx, sc, *in.RestApiId, *in.DocumentationVersion, &frozen); err != nil {
			return err
		}
		row = &api.DocumentationVersion{Version: in.DocumentationVersion, Description: in.Description, CreatedDate: now(tx)}
		if err := docVersions().put(tx, sc, *in.RestApiId, *in.DocumentationVersion, row); err != nil {
			return err
		}
		if value(in.StageName) == "" {
			return nil
		}
		st, err := getStage(tx, sc, *in.RestApiId, *in.StageName)
		if err != nil {
			return err
		}
		st.DocumentationVersion = in.DocumentationVersion
		return putStage(tx, sc, *in.RestApiId, st)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func (s *Service) GetDocumentationVersion(ctx context.Context, in *api.GetDocumentationVersionInput) (*api.DocumentationVersion, error) {
	return docVersions().view(ctx, s, *in.RestApiId, *in.DocumentationVersion)
}

func (s *Service) GetDocumentationVersions(ctx context.Context, in *api.GetDocumentationVersionsInput) (*api.DocumentationVersions, error) {
	items, next, err := docVersions().list(ctx, s, *in.RestApiId, in.Position, in.Limit, nil)
	return &api.DocumentationVersions{Items: items, Position: next}, err
}

func (s *Service) UpdateDocumentationVersion(ctx context.Context, in *api.UpdateDocumentationVersionInput) (*api.DocumentationVersion, error) {
	return docVersions().change(ctx, s, *in.RestApiId, *in.DocumentationVersion, in.PatchOperations, func(row *api.DocumentationVersion) []patchRule {
		return []patchRule{{"replace", "/description", setString(&row.Description)}}
	}, nil)
}

func (s *Service) DeleteDocumentationVersion(ctx context.Context, in *api.DeleteDocumentationVersionInput) (*api.DeleteDocumentationVersionOutput, error) {
	sc := scopeOf(ctx)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := docVersions().get(tx, sc, *in.RestApiId, *in.DocumentationVersion); err != nil {
			return err
		}
		for st, err := range rows[api.Stage](tx, kv.Prefix(inScope(tagStage, sc, *in.RestApiId))) {
			if err != nil {
				return err
			}
			if value(st.DocumentationVersion) == *in.DocumentationVersion {
				return conflict("Cannot delete documentation version '%s', is published to stage: %s", *in.DocumentationVersion, *st.StageName)
			}
		}
		if err := tx.Delete(docSnapshots().key(sc, *in.RestApiId, *in.DocumentationVersion)); err != nil {
			return err
		}
		return tx.Delete(docVersions().key(sc, *in.RestApiId, *in.DocumentationVersion))
	})
	return new(api.DeleteDocumentationVersionOutput), err
}

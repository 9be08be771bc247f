package apigateway

import (
	"context"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

// getResource returns a resource of an API that exists, or the error that either does not.
func getResource(r kv.Reader, sc scope, apiID, id string) (*api.Resource, error) {
	row, err := get[api.Resource](r, resourceKey(sc, apiID, id))
	if err != nil || row != nil {
		return row, err
	}
	if _, err := getAPI(r, sc, apiID); err != nil {
		return nil, err
	}
	return nil, noResource()
}

// resourcesOf returns all resources of an API, in the order of their paths.
func resourcesOf(r kv.Reader, sc scope, apiID string) ([]*api.Resource, error) {
	var all []*api.Resource
	for row, err := range rows[api.Resource](r, kv.Prefix(inScope(tagResource, sc, apiID))) {
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	slices.SortFunc(all, func(a, b *api.Resource) int { return strings.Compare(*a.Path, *b.Path) })
	return all, nil
}

// checkPathPart refuses what is no segment of a resource path.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-settings-method-request.html
func checkPathPart(part string) error {
	inner := part
	if name, _, ok := paramName(part); ok {
		inner = name
	}
	ok := inner != "" && len(part) <= 255
	for i := range len(inner) {
		c := inner[i]
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._-:", c) >= 0)
	}
	if !ok {
		return invalid("Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the beginning and the end.")
	}
	return nil
}

// checkPlace refuses a resource where its siblings or its parent leave no room for it. id is its own.
func checkPlace(all []*api.Resource, parent *api.Resource, id, part string) error {
	if parent.PathPart != nil {
		if _, greedy, _ := paramName(*parent.PathPart); greedy {
			return invalid("Cannot create a child of a resource with a greedy path variable: %s", *parent.PathPart)
		}
	}
	_, _, isParam := paramName(part)
	for _, r := range all {
		if value(r.ParentId) != *parent.Id || *r.Id == id {
			continue
		}
		if *r.PathPart == part {
			return conflict("Another resource with the same parent already has this name: %s", part)
		}
		if _, _, otherIsParam := paramName(*r.PathPart); isParam && otherIsParam {
			return invalid("A sibling (%s) of this resource already has a variable path part -- only one is allowed", *r.PathPart)
		}
	}
	return nil
}

func childPath(parent *api.Resource, part string) string {
	return strings.TrimSuffix(*parent.Path, "/") + "/" + part
}

func (s *Service) CreateResource(ctx context.Context, in *api.CreateResourceInput) (*api.Resource, error) {
	sc := scopeOf(ctx)
	if err := checkPathPart(*in.PathPart); err != nil {
		return nil, err
	}
	row := &api.Resource{ParentId: in.ParentId, PathPart: in.PathPart}
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		parent, err := getResource(tx, sc, *in.RestApiId, *in.ParentId)
		if err != nil {
			return err
		}
		all, err := resourcesOf(tx, sc, *in.RestApiId)
		if err != nil {
			return err
		}
		if len(all) >= maxResources {
			return limitExceeded("resources")
		}
		id := newID(6)
		for slices.ContainsFunc(all, func(r *api.Resource) bool { return *r.Id == id }) {
			id = newID(6)
		}
		if err := checkPlace(all, parent, id, *in.PathPart); err != nil {
			return err
		}
		path := childPath(parent, *in.PathPart)
		row.Id, row.Path = &id, &path
		return put(tx, resourceKey(sc, *in.RestApiId, id), row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

// shown is a resource as it is listed: its methods by name only, unless they are to be embedded.
func shown(row *api.Resource, embed []string) *api.Resource {
	if slices.Contains(embed, "methods") {
		return row
	}
	for name := range row.ResourceMethods {
		row.ResourceMethods[name] = api.Method{}
	}
	return row
}

func (s *Service) GetResource(ctx context.Context, in *api.GetResourceInput) (*api.Resource, error) {
	sc := scopeOf(ctx)
	var row *api.Resource
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		row, err = getResource(r, sc, *in.RestApiId, *in.ResourceId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return shown(row, in.Embed), nil
}

func (s *Service) GetResources(ctx context.Context, in *api.GetResourcesInput) (*api.Resources, error) {
	sc := scopeOf(ctx)
	out := &api.Resources{}
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		if _, err := getAPI(r, sc, *in.RestApiId); err != nil {
			return err
		}
		out.Items, out.Position, err = page[api.Resource](r, inScope(tagResource, sc, *in.RestApiId), in.Position, in.Limit, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range out.Items {
		shown(&out.Items[i], in.Embed)
	}
	return out, nil
}

func (s *Service) UpdateResource(ctx context.Context, in *api.UpdateResourceInput) (*api.Resource, error) {
	sc := scopeOf(ctx)
	var row *api.Resource
	err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if row, err = getResource(tx, sc, *in.RestApiId, *in.ResourceId); err != nil {
			return err
		}
		if row.ParentId == nil {
			return invalid("Root resource cannot be updated")
		}
		err = applyPatches(in.PatchOperations, []patchRule{
			{"replace", "/pathPart", func(p *patch) error {
				row.PathPart = new(value(p.value))
				return checkPathPart(*row.PathPart)
			}},
			{"replace", "/parentId", func(p *patch) error {
				row.ParentId = new(value(p.value))
				return nil
			}},
		})
		if err != nil {
			return err
		}
		parent, err := getResource(tx, sc, *in.RestApiId, *row.ParentId)
		if err != nil {
			return err
		}
		all, err := resourcesOf(tx, sc, *in.RestApiId)
		if err != nil {
			return err
		}
		subtree := subtreeOf(all, *row.Id)
		if slices.ContainsFunc(subtree, func(r *api.Resource) bool { return *r.Id == *parent.Id }) {
			return invalid("A resource cannot be moved below itself")
		}
		if err := checkPlace(all, parent, *row.Id, *row.PathPart); err != nil {
			return err
		}
		if _, greedy, _ := paramName(*row.PathPart); greedy && len(subtree) > 1 {
			return invalid("Cannot create a child of a resource with a greedy path variable: %s", *row.PathPart)
		}
		row.Path = new(childPath(parent, *row.PathPart))
		if err := put(tx, resourceKey(sc, *in.RestApiId, *row.Id), row); err != nil {
			return err
		}
		// The paths below follow; a parent stands before its children.
		paths := map[string]*api.Resource{*row.Id: row}
		for _, r := range subtree[1:] {
			r.Path = new(childPath(paths[*r.ParentId], *r.PathPart))
			paths[*r.Id] = r
			if err := put(tx, resourceKey(sc, *in.RestApiId, *r.Id), r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return shown(row, nil), nil
}

// subtreeOf returns a resource and everything below it, each behind its parent.
func subtreeOf(all []*api.Resource, id string) []*api.Resource {
	children := map[string][]*api.Resource{}
	var found []*api.Resource
	for _, r := range all {
		if *r.Id == id {
			found = append(found, r)
		}
		children[value(r.ParentId)] = append(children[value(r.ParentId)], r)
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[*found[i].Id]...)
	}
	return found
}

func (s *Service) DeleteResource(ctx context.Context, in *api.DeleteResourceInput) (*api.DeleteResourceOutput, error) {
	sc := scopeOf(ctx)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getResource(tx, sc, *in.RestApiId, *in.ResourceId)
		if err != nil {
			return err
		}
		if row.ParentId == nil {
			return invalid("Root resource cannot be deleted")
		}
		all, err := resourcesOf(tx, sc, *in.RestApiId)
		if err != nil {
			return err
		}
		for _, r := range subtreeOf(all, *row.Id) {
			if err := tx.Delete(resourceKey(sc, *in.RestApiId, *r.Id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteResourceOutput), nil
}

package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/blob"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/service/lambda/code"
)

// Limits of layers.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
// https://docs.aws.amazon.com/lambda/latest/api/API_ListLayers.html
const (
	maxLayers     = 5
	layerPageSize = 50
)

// layerRow is what is stored of a version of a layer. All but the policy never changes.
type layerRow struct {
	Number        uint64     `json:"number"`
	Created       time.Time  `json:"created"`
	Description   string     `json:"description,omitempty"`
	License       string     `json:"license,omitempty"`
	Runtimes      []string   `json:"runtimes,omitempty"`
	Architectures []string   `json:"architectures,omitempty"`
	Code          blob.Ref   `json:"code"`
	Unzipped      int64      `json:"unzipped"`
	Policy        *policyRow `json:"policy,omitempty"`
}

// layerHead is what is stored of a layer apart from its versions, and stays when these are deleted: numbers are never used
// again.
type layerHead struct {
	Last uint64 `json:"last"`
}

// layerUse is a version of a layer as a part of a function, which keeps its files even when the layer is deleted.
type layerUse struct {
	ARN      string   `json:"arn"`
	Code     blob.Ref `json:"code"`
	Unzipped int64    `json:"unzipped"`
}

// A layerRef names a layer, and perhaps one of its versions.
type layerRef struct {
	scope
	name   string
	number uint64
}

func (l layerRef) layerARN() string {
	return "arn:aws:lambda:" + l.region + ":" + l.account + ":layer:" + l.name
}

func (l layerRef) arn() string {
	if l.number == 0 {
		return l.layerARN()
	}
	return l.layerARN() + ":" + strconv.FormatUint(l.number, 10)
}

// owner is how the layer version stands in the book of packages. No function has such a name.
func (l layerRef) owner() ref { return ref{l.scope, "layer:" + l.name, ""} }

// resolveLayer reads a layer's name or ARN, and a version's number beside it.
func resolveLayer(ctx context.Context, name *string, number *int64) (layerRef, error) {
	l := layerRef{scope: scopeOf(ctx), name: *name}
	if strings.HasPrefix(*name, "arn:") {
		var ok bool
		if l, ok = parseLayerARN(*name); !ok || l.number != 0 {
			return layerRef{}, failsConstraint(*name, "layerName", "Member must satisfy regular expression pattern: "+
				`(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+`)
		}
	}
	if number != nil {
		if *number < 1 {
			return layerRef{}, failsConstraint(*number, "versionNumber", "Member must have value greater than or equal to 1")
		}
		l.number = uint64(*number)
	}
	return l, nil
}

// parseLayerARN reads arn:aws:lambda:REGION:ACCOUNT:layer:NAME, with or without a number at its end.
func parseLayerARN(arn string) (layerRef, bool) {
	parts := strings.Split(arn, ":")
	if len(parts) != 7 && len(parts) != 8 {
		return layerRef{}, false
	}
	if parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[2] != "lambda" || parts[5] != "layer" ||
		!isRegion(parts[3]) || !isAccount(parts[4]) || !isIdentifier(parts[6]) {
		return layerRef{}, false
	}
	l := layerRef{scope: scope{parts[4], parts[3]}, name: parts[6]}
	if len(parts) == 8 {
		n, err := strconv.ParseUint(parts[7], 10, 63)
		if err != nil || n == 0 {
			return layerRef{}, false
		}
		l.number = n
	}
	return l, true
}

var errNoLayer = notFound("The resource you requested does not exist.")

func getLayer(rd kv.Reader, l layerRef) (*layerRow, error) {
	data, ok, err := rd.Get(layerKey(l))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoLayer
	}
	return decodeLayer(data)
}

func decodeLayer(data []byte) (*layerRow, error) {
	row := &layerRow{}
	if err := json.Unmarshal(data, row); err != nil {
		return nil, fmt.Errorf("lambda: row of a layer: %w", err)
	}
	return row, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html
func (s *Service) PublishLayerVersion(ctx context.Context, in *api.PublishLayerVersionInput) (*api.PublishLayerVersionOutput, error) {
	l, err := resolveLayer(ctx, in.LayerName, nil)
	if err != nil {
		return nil, err
	}
	if l.scope != scopeOf(ctx) {
		return nil, accessDenied("Layers are published in the account and region of the caller, not in those of %s.", l.arn())
	}
	zip, err := s.zipOf(ctx, "PublishLayerVersion", &api.FunctionCode{
		ZipFile: in.Content.ZipFile, S3Bucket: in.Content.S3Bucket, S3Key: in.Content.S3Key, S3ObjectVersion: in.Content.S3ObjectVersion,
	})
	if err != nil {
		return nil, err
	}
	row := &layerRow{Runtimes: in.CompatibleRuntimes, Architectures: in.CompatibleArchitectures}
	set(&row.Description, in.Description)
	set(&row.License, in.LicenseInfo)
	if row.Code, row.Unzipped, err = s.packages.add(ctx, zip); err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		head := &layerHead{}
		if data, ok, err := tx.Get(layerHeadKey(l)); err != nil {
			return err
		} else if ok {
			if err := json.Unmarshal(data, head); err != nil {
				return fmt.Errorf("lambda: row of a layer: %w", err)
			}
		}
		head.Last++
		row.Number, row.Created, l.number = head.Last, tx.Now(), head.Last
		if err := putJSON(tx, layerHeadKey(l), head); err != nil {
			return err
		}
		if err := s.packages.use(tx, row.Code, l.owner(), row.Number); err != nil {
			return err
		}
		return putJSON(tx, layerKey(l), row)
	})
	if err != nil {
		return nil, s.withoutCode(ctx, row.Code, err)
	}
	out := s.layerVersion(ctx, l, row)
	return (*api.PublishLayerVersionOutput)(out), nil
}

// layerVersion is a version as the API shows it.
func (s *Service) layerVersion(ctx context.Context, l layerRef, row *layerRow) *api.GetLayerVersionResponse {
	out := &api.GetLayerVersionResponse{
		Content: &api.LayerVersionContentOutput{
			Location:   new(s.links.CodeURL(ctx, row.Code, codeURLValid)),
			CodeSha256: new((&versionRow{Code: row.Code}).codeSHA256()), CodeSize: new(row.Code.Size),
		},
		LayerArn: new(l.layerARN()), LayerVersionArn: new(l.arn()), Description: new(row.Description),
		CreatedDate: new(lastModified(row.Created)), Version: new(int64(row.Number)),
		CompatibleRuntimes: row.Runtimes, CompatibleArchitectures: row.Architectures,
	}
	if row.License != "" {
		out.LicenseInfo = new(row.License)
	}
	return out
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersion.html
func (s *Service) GetLayerVersion(ctx context.Context, in *api.GetLayerVersionInput) (*api.GetLayerVersionResponse, error) {
	l, err := resolveLayer(ctx, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	return s.readLayer(ctx, l)
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionByArn.html
func (s *Service) GetLayerVersionByArn(ctx context.Context, in *api.GetLayerVersionByArnInput) (*api.GetLayerVersionResponse, error) {
	l, ok := parseLayerARN(*in.Arn)
	if !ok || l.number == 0 {
		return nil, errNoLayer
	}
	return s.readLayer(ctx, l)
}

func (s *Service) readLayer(ctx context.Context, l layerRef) (out *api.GetLayerVersionResponse, err error) {
	err = s.store.View(ctx, func(rd kv.Reader) error {
		row, err := getLayer(rd, l)
		if err == nil {
			out = s.layerVersion(ctx, l, row)
		}
		return err
	})
	return out, err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_DeleteLayerVersion.html
func (s *Service) DeleteLayerVersion(ctx context.Context, in *api.DeleteLayerVersionInput) (*api.DeleteLayerVersionOutput, error) {
	l, err := resolveLayer(ctx, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getLayer(tx, l)
		if err == errNoLayer {
			return nil // to AWS it is deleted then
		}
		if err != nil {
			return err
		}
		if err := tx.Delete(layerKey(l)); err != nil {
			return err
		}
		return s.packages.drop(tx, row.Code, l.owner(), row.Number)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteLayerVersionOutput{}, nil
}

// matches says whether a version is for a runtime and an architecture, where these are asked for.
func (row *layerRow) matches(runtime, architecture *string) bool {
	return (runtime == nil || slices.Contains(row.Runtimes, *runtime)) &&
		(architecture == nil || slices.Contains(row.Architectures, *architecture))
}

func (row *layerRow) item(l layerRef) *api.LayerVersionsListItem {
	l.number = row.Number
	item := &api.LayerVersionsListItem{
		LayerVersionArn: new(l.arn()), Version: new(int64(row.Number)), Description: new(row.Description),
		CreatedDate: new(lastModified(row.Created)), CompatibleRuntimes: row.Runtimes, CompatibleArchitectures: row.Architectures,
	}
	if row.License != "" {
		item.LicenseInfo = new(row.License)
	}
	return item
}

// https://docs.aws.amazon.com/lambda/latest/api/API_ListLayers.html
func (s *Service) ListLayers(ctx context.Context, in *api.ListLayersInput) (*api.ListLayersOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems, layerPageSize)
	if err != nil {
		return nil, err
	}
	out := &api.ListLayersOutput{Layers: []api.LayersListItem{}}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		var name string
		var newest *layerRow
		give := func() {
			if newest != nil && p.take(name) {
				l := layerRef{scope: scopeOf(ctx), name: name}
				out.Layers = append(out.Layers, api.LayersListItem{
					LayerName: new(name), LayerArn: new(l.layerARN()), LatestMatchingVersion: newest.item(l),
				})
			}
		}
		for pair, err := range rd.Scan(kv.Prefix(inScope(tagLayer, scopeOf(ctx)))) {
			if err != nil {
				return err
			}
			l, err := parseLayerKey(pair.Key)
			if err != nil {
				return err
			}
			row, err := decodeLayer(pair.Value)
			if err != nil {
				return err
			}
			if l.name != name {
				if give(); p.full() {
					return nil
				}
				name, newest = l.name, nil
			}
			if row.matches(in.CompatibleRuntime, in.CompatibleArchitecture) {
				newest = row
			}
		}
		give()
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.NextMarker = p.next()
	return out, nil
}

// ListLayerVersions lists the newest version first.
// https://docs.aws.amazon.com/lambda/latest/api/API_ListLayerVersions.html
func (s *Service) ListLayerVersions(ctx context.Context, in *api.ListLayerVersionsInput) (*api.ListLayerVersionsOutput, error) {
	l, err := resolveLayer(ctx, in.LayerName, nil)
	if err != nil {
		return nil, err
	}
	p, err := newPage(in.Marker, in.MaxItems, layerPageSize)
	if err != nil {
		return nil, err
	}
	out := &api.ListLayerVersionsOutput{LayerVersions: []api.LayerVersionsListItem{}}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		rg := kv.Prefix(layerVersionsPrefix(l))
		rg.Reverse = true
		for pair, err := range rd.Scan(rg) {
			if err != nil {
				return err
			}
			row, err := decodeLayer(pair.Value)
			if err != nil {
				return err
			}
			if !row.matches(in.CompatibleRuntime, in.CompatibleArchitecture) {
				continue
			}
			if p.take(sortable(^row.Number)) {
				out.LayerVersions = append(out.LayerVersions, *row.item(l))
			} else if p.full() {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.NextMarker = p.next()
	return out, nil
}

// setLayers gives v the layers with these ARNs, the lowest first. Whether the caller may use them was checked before.
// https://docs.aws.amazon.com/lambda/latest/dg/adding-layers.html
func (s *Service) setLayers(rd kv.Reader, r ref, v *versionRow, arns []string) error {
	if len(arns) > maxLayers {
		return invalid("Cannot reference more than %d layers.", maxLayers)
	}
	v.Layers = nil
	known := map[string]string{}
	for _, arn := range arns {
		l, ok := parseLayerARN(arn)
		if !ok || l.number == 0 {
			return invalid("Layer version %s does not exist.", arn)
		}
		if l.region != r.region {
			return invalid("Layers are not in the same region as the function. Layers are expected to be in region %s.", r.region)
		}
		if other, twice := known[l.layerARN()]; twice {
			return invalid("Two different versions of the same layer are not allowed to be referenced in the same function. %s and %s versions referenced.", other, arn)
		}
		known[l.layerARN()] = arn
		row, err := getLayer(rd, l)
		if err == errNoLayer {
			return invalid("Layer version %s does not exist.", arn)
		}
		if err != nil {
			return err
		}
		v.Layers = append(v.Layers, layerUse{ARN: l.arn(), Code: row.Code, Unzipped: row.Unzipped})
	}
	return v.checkSize()
}

// checkSize refuses code that is too large together with its layers.
func (v *versionRow) checkSize() error {
	size := v.Unzipped
	for _, l := range v.Layers {
		size += l.Unzipped
	}
	if size > code.MaxUnzipped {
		return invalid("Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.", code.MaxUnzipped, size)
	}
	return nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_AddLayerVersionPermission.html
func (s *Service) AddLayerVersionPermission(ctx context.Context, in *api.AddLayerVersionPermissionInput) (*api.AddLayerVersionPermissionOutput, error) {
	l, err := resolveLayer(ctx, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	if in.OrganizationId != nil && *in.OrganizationId != "" && *in.Principal != "*" {
		return nil, invalid("OrganizationId can only be given with the principal *.")
	}
	id, err := s.principalID(ctx, *in.Principal)
	if err != nil {
		return nil, err
	}
	out := &api.AddLayerVersionPermissionOutput{}
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getLayer(tx, l)
		if err != nil {
			return err
		}
		st, err := newStatement(l.arn(), &api.AddPermissionInput{
			StatementId: in.StatementId, Action: in.Action, Principal: in.Principal, PrincipalOrgID: in.OrganizationId,
		})
		if err != nil {
			return err
		}
		if row.Policy == nil {
			row.Policy = &policyRow{}
		} else if in.RevisionId != nil && row.Policy.RevisionID != *in.RevisionId {
			return staleRevision("GetLayerVersionPolicy")
		}
		text, err := row.Policy.add(st, *in.Principal, id)
		if err != nil {
			return err
		}
		out.Statement, out.RevisionId = &text, &row.Policy.RevisionID
		return putJSON(tx, layerKey(l), row)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_RemoveLayerVersionPermission.html
func (s *Service) RemoveLayerVersionPermission(ctx context.Context, in *api.RemoveLayerVersionPermissionInput) (*api.RemoveLayerVersionPermissionOutput, error) {
	l, err := resolveLayer(ctx, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getLayer(tx, l)
		if err != nil {
			return err
		}
		if err := row.Policy.remove(*in.StatementId, in.RevisionId, "GetLayerVersionPolicy"); err != nil {
			return err
		}
		if len(row.Policy.Statements) == 0 {
			row.Policy = nil
		}
		return putJSON(tx, layerKey(l), row)
	})
	if err != nil {
		return nil, err
	}
	return &api.RemoveLayerVersionPermissionOutput{}, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionPolicy.html
func (s *Service) GetLayerVersionPolicy(ctx context.Context, in *api.GetLayerVersionPolicyInput) (*api.GetLayerVersionPolicyOutput, error) {
	l, err := resolveLayer(ctx, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	out := &api.GetLayerVersionPolicyOutput{}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		row, err := getLayer(rd, l)
		if err != nil {
			return err
		}
		if row.Policy == nil {
			return errNoPolicy
		}
		text, err := row.Policy.document()
		out.Policy, out.RevisionId = &text, &row.Policy.RevisionID
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// layerCheck is a check on a layer or a version of one, with the policy that the version has.
func (s *Service) layerCheck(ctx context.Context, action string, l layerRef) (policy.Check, error) {
	check := policy.Check{Action: action, Resource: l.arn()}
	if l.number == 0 {
		return check, nil
	}
	err := s.store.View(ctx, func(rd kv.Reader) error {
		row, err := getLayer(rd, l)
		if err == errNoLayer {
			return nil // the operation itself says so, to who may ask
		}
		if err != nil || row.Policy == nil {
			return err
		}
		check.ResourcePolicy, err = row.Policy.parse()
		return err
	})
	return check, err
}

// usesLayers adds to the checks of an operation that gives a function layers what that needs.
// https://docs.aws.amazon.com/lambda/latest/dg/permissions-layer-cross-account.html
func (s *Service) usesLayers(ctx context.Context, checks []policy.Check, arns []string) ([]policy.Check, error) {
	if len(arns) == 0 {
		return checks, nil
	}
	named := make([]string, len(arns))
	for i, arn := range arns {
		named[i] = arn
		l, ok := parseLayerARN(arn)
		if !ok || l.number == 0 {
			continue // the operation refuses it
		}
		named[i] = l.arn() // which has but one spelling
		check, err := s.layerCheck(ctx, "lambda:GetLayerVersion", l)
		if err != nil {
			return nil, err
		}
		checks = append(checks, check)
	}
	also(&checks[0], "lambda:Layer", named...)
	return checks, nil
}

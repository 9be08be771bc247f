package iam

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/kv"
	"brume/internal/policy"
)

const (
	// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html
	maxThumbprints = 5
	maxClientIDs   = 100
)

// An oidcRow is the row of an OpenID Connect provider.
type oidcRow struct {
	// URL is the issuer without its "https://": as in the ARN, and in condition keys.
	URL         string
	ClientIDs   []string
	Thumbprints []string
	Created     time.Time
	Tags        []tag `json:",omitempty"`
}

func (p *oidcRow) arn(account string) string { return arn(account, "oidc-provider/"+p.URL) }

// issuerURL checks the URL of a provider and returns it without its scheme. Unlike AWS's it may have a port: providers on
// one's own ground do.
func issuerURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery ||
		strings.Contains(text, "#") {
		return "", validation("Invalid Open ID Connect Provider URL")
	}
	return strings.TrimPrefix(text, "https://"), nil
}

func checkThumbprints(list []string) error {
	if len(list) > maxThumbprints {
		return invalidInput("Thumbprint list must contain fewer than %d entries.", maxThumbprints)
	}
	for _, t := range list {
		if strings.Trim(t, "0123456789abcdefABCDEF") != "" {
			return invalidInput("Invalid thumbprint %s.", t)
		}
	}
	return nil
}

// findOIDC returns the provider with this ARN, nil if there is none.
func (r reader) findOIDC(providerARN string) (*oidcRow, error) {
	account, resource, ok := cutARN(providerARN)
	issuer, isProvider := strings.CutPrefix(resource, "oidc-provider/")
	if !ok || !isProvider {
		return nil, invalidInput("Invalid ARN: %s", providerARN)
	}
	if account != r.account {
		return nil, nil
	}
	var p oidcRow
	if ok, err := r.getJSON(oidcKey(r.account, issuer), &p); err != nil || !ok {
		return nil, err
	}
	return &p, nil
}

func (r reader) oidc(providerARN string) (*oidcRow, error) {
	p, err := r.findOIDC(providerARN)
	if err == nil && p == nil {
		err = noSuchEntity("OpenIDConnect Provider not found for arn %s", providerARN)
	}
	return p, err
}

// changeOIDC changes a provider.
func (s *Service) changeOIDC(ctx context.Context, providerARN string, change func(p *oidcRow) error) error {
	return s.update(ctx, func(t txn) error {
		p, err := t.oidc(providerARN)
		if err != nil {
			return err
		}
		if err := change(p); err != nil {
			return err
		}
		return t.setJSON(oidcKey(t.account, p.URL), p)
	})
}

// CreateOpenIDConnectProvider does not ask the provider for its certificate: without thumbprints it is trusted as far as
// its certificate is.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html
func (s *Service) CreateOpenIDConnectProvider(ctx context.Context, in *api.CreateOpenIDConnectProviderInput) (*api.CreateOpenIDConnectProviderOutput, error) {
	issuer, err := issuerURL(*in.Url)
	if err != nil {
		return nil, err
	}
	if err := checkThumbprints(in.ThumbprintList); err != nil {
		return nil, err
	}
	if len(in.ClientIDList) > maxClientIDs {
		return nil, quota("ClientIdsPerOpenIdConnectProvider", maxClientIDs)
	}
	tags, err := newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	out := &api.CreateOpenIDConnectProviderOutput{}
	err = s.update(ctx, func(t txn) error {
		key := oidcKey(t.account, issuer)
		taken, err := t.has(key)
		if err != nil {
			return err
		}
		if taken {
			return alreadyExists("Provider with url https://%s already exists.", issuer)
		}
		if err := t.add(oidcQuota()); err != nil {
			return err
		}
		p := &oidcRow{
			URL: issuer, ClientIDs: in.ClientIDList, Thumbprints: in.ThumbprintList, Tags: tags,
			Created: t.tx.Now().UTC().Truncate(time.Millisecond),
		}
		out.OpenIDConnectProviderArn, out.Tags = new(p.arn(t.account)), outTags(tags)
		return t.setJSON(key, p)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetOpenIDConnectProvider.html
func (s *Service) GetOpenIDConnectProvider(ctx context.Context, in *api.GetOpenIDConnectProviderInput) (*api.GetOpenIDConnectProviderOutput, error) {
	out := &api.GetOpenIDConnectProviderOutput{}
	err := s.view(ctx, func(r reader) error {
		p, err := r.oidc(*in.OpenIDConnectProviderArn)
		if err != nil {
			return err
		}
		out.Url, out.ClientIDList, out.ThumbprintList, out.CreateDate, out.Tags = &p.URL, p.ClientIDs, p.Thumbprints, &p.Created, outTags(p.Tags)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListOpenIDConnectProviders.html
func (s *Service) ListOpenIDConnectProviders(ctx context.Context, _ *api.ListOpenIDConnectProvidersInput) (*api.ListOpenIDConnectProvidersOutput, error) {
	out := &api.ListOpenIDConnectProvidersOutput{OpenIDConnectProviderList: []api.OpenIDConnectProviderListEntry{}}
	err := s.view(ctx, func(r reader) error {
		for p, err := range rows(r, kv.Prefix(oidcScope(r.account)), func(p *oidcRow) string { return p.URL }) {
			if err != nil {
				return err
			}
			out.OpenIDConnectProviderList = append(out.OpenIDConnectProviderList, api.OpenIDConnectProviderListEntry{Arn: new(p.value.arn(r.account))})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddClientIDToOpenIDConnectProvider.html
func (s *Service) AddClientIDToOpenIDConnectProvider(ctx context.Context, in *api.AddClientIDToOpenIDConnectProviderInput) (*api.AddClientIDToOpenIDConnectProviderOutput, error) {
	err := s.changeOIDC(ctx, *in.OpenIDConnectProviderArn, func(p *oidcRow) error {
		if slices.Contains(p.ClientIDs, *in.ClientID) {
			return nil
		}
		if len(p.ClientIDs) >= maxClientIDs {
			return quota("ClientIdsPerOpenIdConnectProvider", maxClientIDs)
		}
		p.ClientIDs = append(p.ClientIDs, *in.ClientID)
		return nil
	})
	return &api.AddClientIDToOpenIDConnectProviderOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveClientIDFromOpenIDConnectProvider.html
func (s *Service) RemoveClientIDFromOpenIDConnectProvider(ctx context.Context, in *api.RemoveClientIDFromOpenIDConnectProviderInput) (*api.RemoveClientIDFromOpenIDConnectProviderOutput, error) {
	err := s.changeOIDC(ctx, *in.OpenIDConnectProviderArn, func(p *oidcRow) error {
		p.ClientIDs = slices.DeleteFunc(p.ClientIDs, func(id string) bool { return id == *in.ClientID })
		return nil
	})
	return &api.RemoveClientIDFromOpenIDConnectProviderOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateOpenIDConnectProviderThumbprint.html
func (s *Service) UpdateOpenIDConnectProviderThumbprint(ctx context.Context, in *api.UpdateOpenIDConnectProviderThumbprintInput) (*api.UpdateOpenIDConnectProviderThumbprintOutput, error) {
	if err := checkThumbprints(in.ThumbprintList); err != nil {
		return nil, err
	}
	err := s.changeOIDC(ctx, *in.OpenIDConnectProviderArn, func(p *oidcRow) error {
		p.Thumbprints = in.ThumbprintList
		return nil
	})
	return &api.UpdateOpenIDConnectProviderThumbprintOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteOpenIDConnectProvider.html
func (s *Service) DeleteOpenIDConnectProvider(ctx context.Context, in *api.DeleteOpenIDConnectProviderInput) (*api.DeleteOpenIDConnectProviderOutput, error) {
	err := s.update(ctx, func(t txn) error {
		p, err := t.findOIDC(*in.OpenIDConnectProviderArn)
		if err != nil || p == nil { // deleting one that is not there succeeds
			return err
		}
		if err := t.drop(oidcQuota()); err != nil {
			return err
		}
		return t.tx.Delete(oidcKey(t.account, p.URL))
	})
	return &api.DeleteOpenIDConnectProviderOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagOpenIDConnectProvider.html
func (s *Service) TagOpenIDConnectProvider(ctx context.Context, in *api.TagOpenIDConnectProviderInput) (*api.TagOpenIDConnectProviderOutput, error) {
	err := s.changeOIDC(ctx, *in.OpenIDConnectProviderArn, func(p *oidcRow) (err error) {
		p.Tags, err = newTags(p.Tags, in.Tags)
		return err
	})
	return &api.TagOpenIDConnectProviderOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagOpenIDConnectProvider.html
func (s *Service) UntagOpenIDConnectProvider(ctx context.Context, in *api.UntagOpenIDConnectProviderInput) (*api.UntagOpenIDConnectProviderOutput, error) {
	err := s.changeOIDC(ctx, *in.OpenIDConnectProviderArn, func(p *oidcRow) error {
		p.Tags = withoutTags(p.Tags, in.TagKeys)
		return nil
	})
	return &api.UntagOpenIDConnectProviderOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListOpenIDConnectProviderTags.html
func (s *Service) ListOpenIDConnectProviderTags(ctx context.Context, in *api.ListOpenIDConnectProviderTagsInput) (*api.ListOpenIDConnectProviderTagsOutput, error) {
	tags, truncated, marker, err := s.listTags(ctx, in.Marker, in.MaxItems, func(r reader) ([]tag, error) {
		p, err := r.oidc(*in.OpenIDConnectProviderArn)
		if err != nil {
			return nil, err
		}
		return p.Tags, nil
	})
	return &api.ListOpenIDConnectProviderTagsOutput{Tags: tags, IsTruncated: truncated, Marker: marker}, err
}

// OpenIDProvider returns an account's registration of the provider with this URL, without its "https://"; nil if there
// is none.
func (s *Service) OpenIDProvider(ctx context.Context, account, url string) (provider *policy.OpenIDProvider, err error) {
	err = s.viewAny(ctx, func(r reader) error {
		var p oidcRow
		ok, err := r.getJSON(oidcKey(account, url), &p)
		if err == nil && ok {
			provider = &policy.OpenIDProvider{ARN: p.arn(account), ClientIDs: p.ClientIDs, Thumbprints: p.Thumbprints}
		}
		return err
	})
	return provider, err
}

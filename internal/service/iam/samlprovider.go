package iam

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"strings"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/awserr"
	"brume/internal/kv"
)

const (
	// maxSAMLKeys is how many keys a SAML provider may have.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
	maxSAMLKeys = 10
	// maxMetadata is the longest metadata document, in bytes.
	maxMetadata = 1 << 20
	// samlYears is how long a provider counts whose metadata does not say.
	samlYears = 100
)

// A samlRow is the row of a SAML provider.
type samlRow struct {
	Name                string
	Created, ValidUntil time.Time
	Metadata            string
	Tags                []tag `json:",omitempty"`
}

func (p *samlRow) arn(account string) string { return arn(account, "saml-provider/"+p.Name) }

// samlMetadata is what is read of an identity provider's metadata.
// https://docs.oasis-open.org/security/saml/v2.0/saml-metadata-2.0-os.pdf
type samlMetadata struct {
	XMLName    xml.Name `xml:"urn:oasis:names:tc:SAML:2.0:metadata EntityDescriptor"`
	EntityID   string   `xml:"entityID,attr"`
	ValidUntil string   `xml:"validUntil,attr"`
	IDP        []struct {
		ValidUntil string `xml:"validUntil,attr"`
		Keys       []struct {
			Certificates []string `xml:"http://www.w3.org/2000/09/xmldsig# KeyInfo>X509Data>X509Certificate"`
		} `xml:"KeyDescriptor"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:metadata IDPSSODescriptor"`
}

// parseSAMLMetadata checks metadata and returns until when they count, zero if they do not say.
func parseSAMLMetadata(text string) (validUntil time.Time, err error) {
	malformed := invalidInput("Could not parse metadata")
	if len(text) > maxMetadata {
		return time.Time{}, invalidInput("The metadata document is longer than %d bytes", maxMetadata)
	}
	var m samlMetadata
	d := xml.NewDecoder(strings.NewReader(text))
	if err := d.Decode(&m); err != nil || m.EntityID == "" || len(m.IDP) == 0 {
		return time.Time{}, malformed
	}
	keys := 0
	for _, idp := range m.IDP {
		for _, k := range idp.Keys {
			for _, c := range k.Certificates {
				keys++
				der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c), ""))
				if err != nil {
					return time.Time{}, malformed
				}
				if _, err := x509.ParseCertificate(der); err != nil {
					return time.Time{}, invalidInput("Unable to parse the X.509 certificate in the metadata")
				}
			}
		}
	}
	switch {
	case keys == 0:
		return time.Time{}, malformed
	case keys > maxSAMLKeys:
		return time.Time{}, quota("KeysPerSAMLProvider", maxSAMLKeys)
	}
	for _, text := range []string{m.ValidUntil, m.IDP[0].ValidUntil} {
		if text == "" {
			continue
		}
		if validUntil, err = time.Parse(time.RFC3339, text); err != nil {
			return time.Time{}, malformed
		}
		return validUntil.UTC(), nil
	}
	return time.Time{}, nil
}

// describe sets the metadata of a provider.
func (p *samlRow) describe(metadata string, validUntil time.Time) {
	p.Metadata, p.ValidUntil = metadata, validUntil
	if validUntil.IsZero() {
		p.ValidUntil = p.Created.AddDate(samlYears, 0, 0)
	}
}

// findSAML returns the provider with this ARN, nil if there is none.
func (r reader) findSAML(providerARN string) (*samlRow, error) {
	account, resource, ok := cutARN(providerARN)
	name, isProvider := strings.CutPrefix(resource, "saml-provider/")
	if !ok || !isProvider {
		return nil, invalidInput("Invalid ARN: %s", providerARN)
	}
	if account != r.account {
		return nil, nil
	}
	var p samlRow
	if ok, err := r.getJSON(samlKey(r.account, name), &p); err != nil || !ok {
		return nil, err
	}
	return &p, nil
}

func (r reader) saml(providerARN string) (*samlRow, error) {
	p, err := r.findSAML(providerARN)
	if err == nil && p == nil {
		err = noSuchEntity("Manifest not found for arn %s", providerARN)
	}
	return p, err
}

// changeSAML changes a provider.
func (s *Service) changeSAML(ctx context.Context, providerARN string, change func(p *samlRow) error) error {
	return s.update(ctx, func(t txn) error {
		p, err := t.saml(providerARN)
		if err != nil {
			return err
		}
		if err := change(p); err != nil {
			return err
		}
		return t.setJSON(samlKey(t.account, p.Name), p)
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateSAMLProvider.html
func (s *Service) CreateSAMLProvider(ctx context.Context, in *api.CreateSAMLProviderInput) (*api.CreateSAMLProviderOutput, error) {
	if in.AssertionEncryptionMode != nil || in.AddPrivateKey != nil {
		return nil, awserr.NotImplemented("CreateSAMLProvider with encrypted assertions")
	}
	validUntil, err := parseSAMLMetadata(*in.SAMLMetadataDocument)
	if err != nil {
		return nil, err
	}
	tags, err := newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	out := &api.CreateSAMLProviderOutput{}
	err = s.update(ctx, func(t txn) error {
		key := samlKey(t.account, *in.Name)
		taken, err := t.has(key)
		if err != nil {
			return err
		}
		if taken {
			return alreadyExists("SAML Provider with name %s already exists.", *in.Name)
		}
		if err := t.add(samlQuota()); err != nil {
			return err
		}
		p := &samlRow{Name: *in.Name, Created: t.tx.Now().UTC().Truncate(time.Second), Tags: tags}
		p.describe(*in.SAMLMetadataDocument, validUntil)
		out.SAMLProviderArn, out.Tags = new(p.arn(t.account)), outTags(tags)
		return t.setJSON(key, p)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetSAMLProvider.html
func (s *Service) GetSAMLProvider(ctx context.Context, in *api.GetSAMLProviderInput) (*api.GetSAMLProviderOutput, error) {
	out := &api.GetSAMLProviderOutput{}
	err := s.view(ctx, func(r reader) error {
		p, err := r.saml(*in.SAMLProviderArn)
		if err != nil {
			return err
		}
		out.SAMLMetadataDocument, out.CreateDate, out.ValidUntil, out.Tags = &p.Metadata, &p.Created, &p.ValidUntil, outTags(p.Tags)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListSAMLProviders.html
func (s *Service) ListSAMLProviders(ctx context.Context, _ *api.ListSAMLProvidersInput) (*api.ListSAMLProvidersOutput, error) {
	out := &api.ListSAMLProvidersOutput{SAMLProviderList: []api.SAMLProviderListEntry{}}
	err := s.view(ctx, func(r reader) error {
		for p, err := range rows(r, kv.Prefix(samlScope(r.account)), func(p *samlRow) string { return p.Name }) {
			if err != nil {
				return err
			}
			out.SAMLProviderList = append(out.SAMLProviderList, api.SAMLProviderListEntry{
				Arn: new(p.value.arn(r.account)), CreateDate: &p.value.Created, ValidUntil: &p.value.ValidUntil,
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateSAMLProvider.html
func (s *Service) UpdateSAMLProvider(ctx context.Context, in *api.UpdateSAMLProviderInput) (*api.UpdateSAMLProviderOutput, error) {
	if in.AssertionEncryptionMode != nil || in.AddPrivateKey != nil || in.RemovePrivateKey != nil {
		return nil, awserr.NotImplemented("UpdateSAMLProvider with encrypted assertions")
	}
	var validUntil time.Time
	if in.SAMLMetadataDocument != nil {
		var err error
		if validUntil, err = parseSAMLMetadata(*in.SAMLMetadataDocument); err != nil {
			return nil, err
		}
	}
	err := s.changeSAML(ctx, *in.SAMLProviderArn, func(p *samlRow) error {
		if in.SAMLMetadataDocument != nil {
			p.describe(*in.SAMLMetadataDocument, validUntil)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateSAMLProviderOutput{SAMLProviderArn: in.SAMLProviderArn}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteSAMLProvider.html
func (s *Service) DeleteSAMLProvider(ctx context.Context, in *api.DeleteSAMLProviderInput) (*api.DeleteSAMLProviderOutput, error) {
	err := s.update(ctx, func(t txn) error {
		p, err := t.saml(*in.SAMLProviderArn)
		if err != nil {
			return err
		}
		if err := t.drop(samlQuota()); err != nil {
			return err
		}
		return t.tx.Delete(samlKey(t.account, p.Name))
	})
	return &api.DeleteSAMLProviderOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagSAMLProvider.html
func (s *Service) TagSAMLProvider(ctx context.Context, in *api.TagSAMLProviderInput) (*api.TagSAMLProviderOutput, error) {
	err := s.changeSAML(ctx, *in.SAMLProviderArn, func(p *samlRow) (err error) {
		p.Tags, err = newTags(p.Tags, in.Tags)
		return err
	})
	return &api.TagSAMLProviderOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagSAMLProvider.html
func (s *Service) UntagSAMLProvider(ctx context.Context, in *api.UntagSAMLProviderInput) (*api.UntagSAMLProviderOutput, error) {
	err := s.changeSAML(ctx, *in.SAMLProviderArn, func(p *samlRow) error {
		p.Tags = withoutTags(p.Tags, in.TagKeys)
		return nil
	})
	return &api.UntagSAMLProviderOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListSAMLProviderTags.html
func (s *Service) ListSAMLProviderTags(ctx context.Context, in *api.ListSAMLProviderTagsInput) (*api.ListSAMLProviderTagsOutput, error) {
	tags, truncated, marker, err := s.listTags(ctx, in.Marker, in.MaxItems, func(r reader) ([]tag, error) {
		p, err := r.saml(*in.SAMLProviderArn)
		if err != nil {
			return nil, err
		}
		return p.Tags, nil
	})
	return &api.ListSAMLProviderTagsOutput{Tags: tags, IsTruncated: truncated, Marker: marker}, err
}

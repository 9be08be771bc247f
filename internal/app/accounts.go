package app

import (
	"context"

	iamapi "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/policy"
	"brume/internal/service/iam"
)

// accounts is IAM as STS asks it.
type accounts struct{ *iam.Service }

// OpenIDProvider returns an account's registration of an identity provider, nil if there is none.
func (i accounts) OpenIDProvider(ctx context.Context, account, url string) (*policy.OpenIDProvider, error) {
	arn := "arn:aws:iam::" + account + ":oidc-provider/" + url
	root := call.Principal{Type: call.Account, Account: account, ARN: "arn:aws:iam::" + account + ":root", ID: account}
	info := &call.Info{RequestID: call.NewRequestID(), Account: account, Principal: root, Secure: true, ViaService: "sts.amazonaws.com"}
	out, err := i.GetOpenIDConnectProvider(call.With(ctx, info), &iamapi.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn})
	if hasCode(err, "NoSuchEntity") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &policy.OpenIDProvider{ARN: arn, ClientIDs: out.ClientIDList, Thumbprints: out.ThumbprintList}, nil
}

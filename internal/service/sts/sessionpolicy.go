package sts

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	api "brume/internal/api/sts"
	"brume/internal/call"
	"brume/internal/policy"
)

const (
	// maxSessionPolicies is how many managed policies may be passed for a session.
	maxSessionPolicies = 10
	// maxSessionPolicyText is how long the session policies of a session may be together, in characters.
	maxSessionPolicyText = 2048
	// maxPacked is how much room session policies and tags have in a token when they are packed, in bytes.
	maxPacked = 2048
)

// restrict gives a session the session policies that were passed for it, in an account, and returns which part of the
// room in a token they and its tags take, in percent; nil if there are none.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session
func (s *Service) restrict(ctx context.Context, session *call.Session, account string, inline *string, managed []api.PolicyDescriptorType) (*int32, error) {
	size := 0
	if inline != nil {
		if _, err := policy.Parse(*inline, policy.Identity); err != nil {
			var m *policy.MalformedError
			if errors.As(err, &m) {
				return nil, &api.MalformedPolicyDocumentException{Message: &m.Message}
			}
			return nil, err
		}
		session.Policy = *inline
		size = len([]rune(*inline))
	}
	if len(managed) > maxSessionPolicies {
		return nil, validation("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to %d", maxSessionPolicies)
	}
	for _, m := range managed {
		arn := str(m.Arn)
		if exists, err := s.identities.PolicyExists(ctx, account, arn); err != nil {
			return nil, err
		} else if !exists {
			return nil, validation("Policy %s does not exist or is not attachable.", arn)
		}
		if !slices.Contains(session.PolicyARNs, arn) {
			session.PolicyARNs = append(session.PolicyARNs, arn)
			size += len(arn)
		}
	}
	if size > maxSessionPolicyText {
		return nil, validation("The session policies are longer than %d characters together.", maxSessionPolicyText)
	}
	return packedSize(session)
}

func packedSize(session *call.Session) (*int32, error) {
	hasPolicies := session.Policy != "" || len(session.PolicyARNs) > 0
	if !hasPolicies && len(session.Tags) == 0 {
		return nil, nil
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	text := session.Policy + strings.Join(session.PolicyARNs, "\n")
	for _, key := range slices.Sorted(maps.Keys(session.Tags)) {
		text += "\n" + key + "\n" + session.Tags[key]
	}
	// Writing to a buffer does not fail.
	_, err = w.Write([]byte(text))
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	percent := int32((packed.Len()*100 + maxPacked - 1) / maxPacked)
	if percent > 100 {
		what := fmt.Sprintf("Packed size of session tags consumes %d%% of allotted space.", percent)
		if hasPolicies {
			what = fmt.Sprintf("Packed policy consumes %d%% of allotted space, please use smaller policy.", percent)
		}
		return nil, &api.PackedPolicyTooLargeException{Message: &what}
	}
	return &percent, nil
}

package iam

import (
	"context"
	"fmt"
	"strings"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/policy"
)

// A source is a policy of a simulation, with its text and the name it goes by in results.
type source struct {
	id   string
	text string
	doc  *policy.Document
	// Of a policy that somebody has: its name, and its ARN or the identity that it is a part of.
	name, arn string
	owner     *identity
}

// newSource parses a policy of a simulation. Each has a document of its own, by which its statements are found again.
func newSource(id, text string, kind policy.Kind) (source, error) {
	doc, err := policy.Parse(text, kind)
	return source{id: id, text: text, doc: doc}, err
}

// inputSources parses the policies that an input holds.
func inputSources(list string, texts []string) ([]source, error) {
	sources := make([]source, len(texts))
	for i, text := range texts {
		id := fmt.Sprintf("%s.%d", list, i+1)
		var err error
		if sources[i], err = newSource(id, text, policy.Identity); err != nil {
			if m, ok := err.(*policy.MalformedError); ok {
				return nil, invalidInput("%s: %s", id, m.Message)
			}
			return nil, err
		}
	}
	return sources, nil
}

// sourcesOf returns the policies of a user and its groups, of a group, or of a role, not parsed yet. Managed ones go by
// their names, others by "user_alice_policy".
func (r reader) sourcesOf(i *identity) ([]source, error) {
	owners := []*identity{i}
	if i.Kind == kindUser {
		groups, err := r.groupsOf(i.ID)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			owners = append(owners, g.value)
		}
	}
	var sources []source
	for _, owner := range owners {
		for p, err := range r.attached(owner.ID, "", nil) {
			if err != nil {
				return nil, err
			}
			v, err := r.version(p.value, p.value.Default)
			if err != nil {
				return nil, err
			}
			sources = append(sources, source{id: p.value.Name, name: p.value.Name, arn: p.value.arn(), text: v.Document})
		}
		for p, err := range r.inline(owner.ID, "") {
			if err != nil {
				return nil, err
			}
			id := owner.Kind.String() + "_" + owner.Name + "_" + p.value.Name
			sources = append(sources, source{id: id, name: p.value.Name, owner: owner, text: p.value.Document})
		}
	}
	return sources, nil
}

// parsedSourcesOf are those of sourcesOf, each with a document of its own.
func (r reader) parsedSourcesOf(i *identity) ([]source, error) {
	sources, err := r.sourcesOf(i)
	if err != nil {
		return nil, err
	}
	for n := range sources {
		if sources[n].doc, err = policy.Parse(sources[n].text, policy.Identity); err != nil {
			return nil, err
		}
	}
	return sources, nil
}

// entity returns the user, group or role with this ARN.
func (r reader) entity(entityARN string) (*identity, error) {
	account, resource, ok := cutARN(entityARN)
	k, path, _ := strings.Cut(resource, "/")
	kinds := map[string]kind{"user": kindUser, "group": kindGroup, "role": kindRole}
	if kinds[k] == 0 || !ok || path == "" {
		return nil, invalidInput("Invalid Entity Arn: %s does not clearly define entity type and name.", entityARN)
	}
	if account != r.account {
		return nil, noSuchEntity("The %s with name %s cannot be found.", k, lastPart(path))
	}
	i, err := r.identity(kinds[k], lastPart(path))
	if err == nil && i.arn(r.account) != entityARN {
		err = noSuchEntity("The %s with name %s cannot be found.", k, lastPart(path))
	}
	return i, err
}

// A simulation is what the two operations that simulate have in common.
type simulation struct {
	identity       []source
	boundary       []source
	resourcePolicy *string
	resourceOwner  *string
	caller         call.Principal
	tags           map[string]string
	actions        []string
	resources      []string
	context        []api.ContextEntry
}

// SimulateCustomPolicy tells what policies allow that are given to it.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
func (s *Service) SimulateCustomPolicy(ctx context.Context, in *api.SimulateCustomPolicyInput) (*api.SimulatePolicyResponse, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	sim := &simulation{
		resourcePolicy: in.ResourcePolicy, resourceOwner: in.ResourceOwner, actions: in.ActionNames, resources: in.ResourceArns,
		context: in.ContextEntries, caller: call.Principal{Type: call.User, Account: call.From(ctx).Account},
	}
	if sim.identity, err = inputSources("PolicyInputList", in.PolicyInputList); err != nil {
		return nil, err
	}
	out := &api.SimulatePolicyResponse{}
	err = s.view(ctx, func(r reader) error {
		if in.CallerArn != nil {
			if sim.caller, sim.tags, err = r.simulatedCaller(*in.CallerArn); err != nil {
				return err
			}
		} else if in.ResourcePolicy != nil {
			return invalidInput("The CallerArn parameter is required with a resource policy.")
		}
		if sim.boundary, err = inputSources("PermissionsBoundaryPolicyInputList", in.PermissionsBoundaryPolicyInputList); err != nil {
			return err
		}
		out.EvaluationResults, out.IsTruncated, out.Marker, err = sim.run(r, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// SimulatePrincipalPolicy tells what a user, group or role may do.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
func (s *Service) SimulatePrincipalPolicy(ctx context.Context, in *api.SimulatePrincipalPolicyInput) (*api.SimulatePolicyResponse, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	sim := &simulation{
		resourcePolicy: in.ResourcePolicy, resourceOwner: in.ResourceOwner, actions: in.ActionNames, resources: in.ResourceArns,
		context: in.ContextEntries,
	}
	further, err := inputSources("PolicyInputList", in.PolicyInputList)
	if err != nil {
		return nil, err
	}
	out := &api.SimulatePolicyResponse{}
	err = s.view(ctx, func(r reader) error {
		i, err := r.entity(*in.PolicySourceArn)
		if err != nil {
			return err
		}
		if sim.identity, err = r.parsedSourcesOf(i); err != nil {
			return err
		}
		sim.identity = append(sim.identity, further...)
		switch {
		case in.CallerArn != nil:
			sim.caller, sim.tags, err = r.simulatedCaller(*in.CallerArn)
		case i.Kind != kindUser && in.ResourcePolicy != nil:
			err = invalidInput("The CallerArn parameter is required with a resource policy, unless the policy source is a user.")
		default:
			sim.caller, sim.tags = i.principal(r.account), tagMap(i.Tags)
		}
		if err != nil {
			return err
		}
		switch {
		case len(in.PermissionsBoundaryPolicyInputList) > 0:
			sim.boundary, err = inputSources("PermissionsBoundaryPolicyInputList", in.PermissionsBoundaryPolicyInputList)
		case i.Boundary != "":
			sim.boundary, err = r.boundarySource(i.Boundary)
		}
		if err != nil {
			return err
		}
		out.EvaluationResults, out.IsTruncated, out.Marker, err = sim.run(r, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// principal is who makes the calls of a user or role; a group makes none, and stands for a user without a name.
func (i *identity) principal(account string) call.Principal {
	switch i.Kind {
	case kindUser:
		return call.Principal{Type: call.User, Account: account, ARN: i.arn(account), ID: i.ID, Name: i.Name}
	case kindRole:
		return call.Principal{
			Type: call.AssumedRole, Account: account, ARN: i.arn(account), ID: i.ID, Name: i.Name,
			Session: &call.Session{RoleARN: i.arn(account)},
		}
	}
	return call.Principal{Type: call.User, Account: account}
}

// simulatedCaller is the user that an ARN names. It need not exist.
func (r reader) simulatedCaller(userARN string) (p call.Principal, tags map[string]string, err error) {
	account, resource, ok := cutARN(userARN)
	path, isUser := strings.CutPrefix(resource, "user/")
	if !ok || !isUser || path == "" {
		return p, nil, invalidInput("CallerArn %s must be the ARN of an IAM user.", userARN)
	}
	p = call.Principal{Type: call.User, Account: account, ARN: userARN, Name: lastPart(path)}
	u, err := r.entity(userARN)
	switch {
	case err == nil:
		return u.principal(account), tagMap(u.Tags), nil
	case isClientError(err):
		return p, nil, nil
	}
	return p, nil, err
}

func (r reader) boundarySource(policyARN string) ([]source, error) {
	p, err := r.findPolicy(policyARN)
	if err != nil {
		return nil, err
	}
	if p == nil { // it allows nothing
		return []source{{id: policyARN, doc: new(policy.Document)}}, nil
	}
	v, err := r.version(p, p.Default)
	if err != nil {
		return nil, err
	}
	s, err := newSource(p.Name, v.Document, policy.Identity)
	return []source{s}, err
}

// run simulates each action on each resource.
func (sim *simulation) run(r reader, p page) ([]api.EvaluationResult, *bool, *string, error) {
	policies := policy.Policies{Tags: sim.tags}
	all := sim.identity
	for _, s := range sim.identity {
		policies.Identity = append(policies.Identity, s.doc)
	}
	if len(sim.boundary) > 1 {
		return nil, nil, nil, invalidInput("There can be one permissions boundary only.")
	}
	if len(sim.boundary) > 0 {
		policies.Boundary = sim.boundary[0].doc
		all = append(all[:len(all):len(all)], sim.boundary...)
	}
	shared := (*policy.Document)(nil)
	owner := sim.caller.Account
	if sim.resourcePolicy != nil {
		s, err := newSource("ResourcePolicy", *sim.resourcePolicy, policy.Resource)
		if m, ok := err.(*policy.MalformedError); ok {
			return nil, nil, nil, invalidInput("ResourcePolicy: %s", m.Message)
		}
		if err != nil {
			return nil, nil, nil, err
		}
		shared, all = s.doc, append(all[:len(all):len(all)], s)
	}
	if sim.resourceOwner != nil {
		account, resource, ok := cutARN(*sim.resourceOwner)
		if !ok || resource != "root" {
			return nil, nil, nil, invalidInput("ResourceOwner %s must be the ARN of an account.", *sim.resourceOwner)
		}
		owner = account
	}
	given, err := sim.contextKeys()
	if err != nil {
		return nil, nil, nil, err
	}
	for _, action := range sim.actions {
		if service, name, ok := strings.Cut(action, ":"); !ok || service == "" || name == "" || strings.ContainsAny(action, "*?") || strings.Contains(name, ":") {
			return nil, nil, nil, invalidInput("Invalid Entity Action: %s", action)
		}
	}
	resources := sim.resources
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	for _, resource := range resources {
		if resource != "*" && strings.Count(resource, ":") < 5 {
			return nil, nil, nil, invalidInput("Invalid Resource Arn: %s", resource)
		}
	}
	info := &call.Info{Account: sim.caller.Account, Principal: sim.caller, Time: r.Now(), Secure: true}
	keys := contextKeysOf(all)
	results := func(yield func(item[api.EvaluationResult], error) bool) {
		n := 0
		for _, action := range sim.actions {
			for _, resource := range resources {
				key := ordinal(n)
				n++
				if key <= p.after {
					continue
				}
				check := &policy.Check{Action: action, Resource: resource, Context: given, ResourcePolicy: shared}
				// Without a resource policy there is nothing to say of other accounts.
				if shared == nil || accountOf(resource) == "" {
					check.ResourceAccount = owner
				}
				result := simulated(info, &policies, check, all, keys, len(sim.resources) > 0)
				if !yield(item[api.EvaluationResult]{key, result}, nil) {
					return
				}
			}
		}
	}
	return take(p, results)
}

// accountOf is the account in an ARN, empty if there is none.
func accountOf(resource string) string {
	if parts := strings.SplitN(resource, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}

// simulated is the result of one action on one resource. keys are those that the policies ask for.
func simulated(info *call.Info, policies *policy.Policies, check *policy.Check, all []source, keys []string, named bool) api.EvaluationResult {
	s := policy.Simulate(info, policies, check)
	decision := string(s.Decision.Verdict())
	result := api.EvaluationResult{
		EvalActionName: &check.Action, EvalResourceName: &check.Resource, EvalDecision: &decision,
		MatchedStatements: []api.Statement{}, MissingContextValues: []string{},
	}
	for _, m := range s.Matches {
		for _, src := range all {
			if src.doc != m.Document {
				continue
			}
			if spans := policy.Spans(src.text); m.Statement < len(spans) {
				start, end := spans[m.Statement].Start, spans[m.Statement].End
				result.MatchedStatements = append(result.MatchedStatements, api.Statement{
					SourcePolicyId: &src.id, SourcePolicyType: new("IAM Policy"),
					StartPosition: &api.Position{Line: &start.Line, Column: &start.Column},
					EndPosition:   &api.Position{Line: &end.Line, Column: &end.Column},
				})
			}
		}
	}
	missing := []string{}
	for _, key := range keys {
		if !policy.Provided(info, policies, check, key) {
			missing = append(missing, key)
		}
	}
	var bounded *api.PermissionsBoundaryDecisionDetail
	if policies.Boundary != nil {
		bounded = &api.PermissionsBoundaryDecisionDetail{AllowedByPermissionsBoundary: new(s.Boundary == policy.Allowed)}
	}
	var details map[string]string
	if account := accountOf(check.Resource); check.ResourcePolicy != nil {
		if account == "" {
			account = check.ResourceAccount
		}
		if account != info.Principal.Account {
			details = map[string]string{"IAM Policy": string(s.Identity), "Resource Policy": string(s.Resource)}
		}
	}
	result.PermissionsBoundaryDecisionDetail, result.EvalDecisionDetails = bounded, details
	if !named {
		result.MissingContextValues = missing
		return result
	}
	result.ResourceSpecificResults = []api.ResourceSpecificResult{{
		EvalResourceName: &check.Resource, EvalResourceDecision: &decision, MatchedStatements: result.MatchedStatements,
		MissingContextValues: missing, PermissionsBoundaryDecisionDetail: bounded, EvalDecisionDetails: details,
	}}
	return result
}

// contextKeys are the condition keys that a simulation was given. Those that only a real call has are absent unless they
// were given.
func (sim *simulation) contextKeys() (map[string][]string, error) {
	given := map[string][]string{}
	for _, key := range []string{
		"aws:SecureTransport", "aws:MultiFactorAuthPresent", "aws:MultiFactorAuthAge", "aws:TokenIssueTime", "aws:RequestedRegion",
	} {
		given[fold(key)] = nil
	}
	for _, entry := range sim.context {
		name, kind := str(entry.ContextKeyName), str(entry.ContextKeyType)
		if name == "" {
			return nil, invalidInput("A context entry has no name.")
		}
		if !strings.HasSuffix(kind, "List") && len(entry.ContextKeyValues) > 1 {
			return nil, invalidInput("The context key %s of type %s has more than one value.", name, kind)
		}
		for _, value := range entry.ContextKeyValues {
			if !policy.Comparable(strings.TrimSuffix(kind, "List"), value) {
				return nil, invalidInput("The value %s of the context key %s is not of type %s.", value, name, kind)
			}
		}
		given[fold(name)] = append(given[fold(name)], entry.ContextKeyValues...)
	}
	return given, nil
}

// GetContextKeysForCustomPolicy names the condition keys that policies ask for.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForCustomPolicy.html
func (s *Service) GetContextKeysForCustomPolicy(_ context.Context, in *api.GetContextKeysForCustomPolicyInput) (*api.GetContextKeysForPolicyResponse, error) {
	sources, err := inputSources("PolicyInputList", in.PolicyInputList)
	if err != nil {
		return nil, err
	}
	return &api.GetContextKeysForPolicyResponse{ContextKeyNames: contextKeysOf(sources)}, nil
}

func contextKeysOf(sources []source) []string {
	keys, seen := []string{}, map[string]bool{}
	for _, src := range sources {
		for _, key := range policy.ContextKeys(src.text) {
			if !seen[fold(key)] {
				seen[fold(key)] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForPrincipalPolicy.html
func (s *Service) GetContextKeysForPrincipalPolicy(ctx context.Context, in *api.GetContextKeysForPrincipalPolicyInput) (*api.GetContextKeysForPolicyResponse, error) {
	further, err := inputSources("PolicyInputList", in.PolicyInputList)
	if err != nil {
		return nil, err
	}
	out := &api.GetContextKeysForPolicyResponse{}
	err = s.view(ctx, func(r reader) error {
		i, err := r.entity(*in.PolicySourceArn)
		if err != nil {
			return err
		}
		sources, err := r.sourcesOf(i)
		out.ContextKeyNames = contextKeysOf(append(sources, further...))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

package iam

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/policy"
)

const (
	// trackingPeriod is how far reports of what was last accessed look back.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html
	trackingPeriod = 400 * 24 * time.Hour
	// jobLife is how long a report can be asked for.
	jobLife = 7 * 24 * time.Hour
	// maxPendingAccesses bounds what is remembered between two writes. What is beyond it is not reported.
	maxPendingAccesses = 1 << 16
)

// An access is an action that a user or role asked for.
type access struct {
	id     string // of the user or role
	action string // "dynamodb:GetItem"
}

// seen says when and where.
type seen struct {
	at     int64 // in seconds since 1970
	region string
}

// An accessRow says when a user or role last used a service, and each of its actions.
type accessRow struct {
	At      time.Time
	Region  string
	Actions map[string]actionUse
}

type actionUse struct {
	At     time.Time
	Region string
}

// RecordAccess notes what a user or role asked for. It writes nothing: Run does, once in a while.
func (s *Service) RecordAccess(info *call.Info, checks []policy.Check) {
	p := &info.Principal
	if p.Type != call.User && p.Type != call.AssumedRole || len(checks) == 0 {
		return
	}
	id, _, _ := strings.Cut(p.ID, ":")
	now := seen{info.Time.Unix(), info.Region}
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	for i := range checks {
		a := access{id, checks[i].Action}
		if _, known := s.uses.accesses[a]; known || len(s.uses.accesses) < maxPendingAccesses {
			s.uses.accesses[a] = now
		}
	}
}

// writeAccesses writes what RecordAccess noted of users and roles that still exist.
func (t txn) writeAccesses(accesses map[access]seen) error {
	type service struct{ id, name string }
	rows := map[service]*accessRow{}
	exists := map[string]bool{}
	for a, use := range accesses {
		there, known := exists[a.id]
		if !known {
			var err error
			if there, err = t.has(idKey(a.id)); err != nil {
				return err
			}
			exists[a.id] = there
		}
		name, action, _ := strings.Cut(a.action, ":")
		if !there {
			continue
		}
		key := service{a.id, name}
		row := rows[key]
		if row == nil {
			row = &accessRow{}
			if _, err := t.getJSON(accessKey(a.id, name), row); err != nil {
				return err
			}
			if row.Actions == nil {
				row.Actions = map[string]actionUse{}
			}
			rows[key] = row
		}
		at := time.Unix(use.at, 0).UTC()
		if !at.Before(row.At) {
			row.At, row.Region = at, use.region
		}
		if old := row.Actions[action]; !at.Before(old.At) {
			row.Actions[action] = actionUse{at, use.region}
		}
	}
	for key, row := range rows {
		if err := t.setJSON(accessKey(key.id, key.name), row); err != nil {
			return err
		}
	}
	return nil
}

// A catalogued service is one that reports speak of.
type catalogued struct{ namespace, name string }

// catalogue lists the services that Brume has or that policies for it are likely to speak of, by namespace.
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
func catalogue() []catalogued {
	return []catalogued{
		{"apigateway", "Amazon API Gateway Management"},
		{"cloudformation", "AWS CloudFormation"},
		{"cloudtrail", "AWS CloudTrail"},
		{"cloudwatch", "Amazon CloudWatch"},
		{"cognito-idp", "Amazon Cognito User Pools"},
		{"dynamodb", "Amazon DynamoDB"},
		{"ec2", "Amazon EC2"},
		{"ecr", "Amazon Elastic Container Registry"},
		{"ecs", "Amazon Elastic Container Service"},
		{"events", "Amazon EventBridge"},
		{"execute-api", "Amazon API Gateway"},
		{"iam", "AWS Identity and Access Management"},
		{"kinesis", "Amazon Kinesis"},
		{"kms", "AWS Key Management Service"},
		{"lambda", "AWS Lambda"},
		{"logs", "Amazon CloudWatch Logs"},
		{"rds", "Amazon RDS"},
		{"route53", "Amazon Route 53"},
		{"s3", "Amazon S3"},
		{"scheduler", "Amazon EventBridge Scheduler"},
		{"secretsmanager", "AWS Secrets Manager"},
		{"ses", "Amazon SES"},
		{"sns", "Amazon SNS"},
		{"sqs", "Amazon SQS"},
		{"ssm", "AWS Systems Manager"},
		{"states", "AWS Step Functions"},
		{"sts", "AWS Security Token Service"},
	}
}

// A jobRow is a report of what was last accessed. It is a snapshot of the time that it was asked for.
type jobRow struct {
	Granularity string
	Created     time.Time
	Services    []jobService
}

// A jobService is what a report says of a service.
type jobService struct {
	Namespace, Name string
	Entities        []jobEntity // those who may use the service by what the report is of, the last first
}

// A jobEntity is a user or role in a report.
type jobEntity struct {
	ARN, Name, ID, Path string
	Kind                kind
	At                  time.Time `json:",omitzero"` // zero if it was not seen
	Region              string    `json:",omitempty"`
	Actions             map[string]actionUse
}

// reported is what a report is of: policies, and the users and roles that have them.
type reported struct {
	policies []source
	entities []*identity
}

// reportedOn finds what a report of an ARN is of.
func (r reader) reportedOn(entityARN string) (out reported, err error) {
	if _, resource, ok := cutARN(entityARN); ok && strings.HasPrefix(resource, "policy/") {
		p, err := r.policy(entityARN)
		if err != nil {
			return out, err
		}
		v, err := r.version(p, p.Default)
		if err != nil {
			return out, err
		}
		s, err := newSource(p.Name, v.Document, policy.Identity)
		if err != nil {
			return out, err
		}
		out.policies = []source{s}
		ids := map[string]bool{}
		for i, err := range r.users(p, "", func(_ *identity, usage byte) bool { return usage == usageAttach }) {
			if err != nil {
				return out, err
			}
			members := []item[*identity]{i}
			if i.value.Kind == kindGroup {
				if members, err = r.membersOf(i.value.ID); err != nil {
					return out, err
				}
			}
			for _, m := range members {
				if !ids[m.value.ID] {
					ids[m.value.ID] = true
					out.entities = append(out.entities, m.value)
				}
			}
		}
		return out, nil
	}
	i, err := r.entity(entityARN)
	if err != nil {
		return out, err
	}
	if out.policies, err = r.parsedSourcesOf(i); err != nil {
		return out, err
	}
	if i.Kind != kindGroup {
		out.entities = []*identity{i}
		return out, nil
	}
	members, err := r.membersOf(i.ID)
	for _, m := range members {
		out.entities = append(out.entities, m.value)
	}
	return out, err
}

// GenerateServiceLastAccessedDetails makes the report before it returns.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GenerateServiceLastAccessedDetails.html
func (s *Service) GenerateServiceLastAccessedDetails(ctx context.Context, in *api.GenerateServiceLastAccessedDetailsInput) (*api.GenerateServiceLastAccessedDetailsOutput, error) {
	// What was just used is in the report too.
	s.flushUses(ctx)
	id := call.NewRequestID()
	err := s.update(ctx, func(t txn) error {
		of, err := t.reportedOn(*in.Arn)
		if err != nil {
			return err
		}
		now := t.tx.Now().UTC().Truncate(time.Second)
		row := jobRow{Granularity: "SERVICE_LEVEL", Created: now}
		if in.Granularity != nil {
			row.Granularity = *in.Granularity
		}
		for _, c := range catalogue() {
			if !slices.ContainsFunc(of.policies, func(p source) bool { return p.doc.Grants(c.namespace) }) {
				continue
			}
			service := jobService{Namespace: c.namespace, Name: c.name}
			for _, i := range of.entities {
				e, err := t.jobEntity(i, c.namespace, now)
				if err != nil {
					return err
				}
				service.Entities = append(service.Entities, e)
			}
			slices.SortStableFunc(service.Entities, func(a, b jobEntity) int { return b.At.Compare(a.At) })
			row.Services = append(row.Services, service)
		}
		for old, err := range t.Scan(kv.Prefix(jobScope(t.account))) {
			var j jobRow
			if err == nil {
				_, err = t.getJSON(old.Key, &j)
			}
			if err == nil && now.Sub(j.Created) > jobLife {
				err = t.tx.Delete(old.Key)
			}
			if err != nil {
				return err
			}
		}
		return t.setJSON(jobKey(t.account, id), row)
	})
	if err != nil {
		return nil, err
	}
	return &api.GenerateServiceLastAccessedDetailsOutput{JobId: &id}, nil
}

// jobEntity is what a report says of a user or role and a service.
func (r reader) jobEntity(i *identity, namespace string, now time.Time) (jobEntity, error) {
	e := jobEntity{ARN: i.arn(r.account), Name: i.Name, ID: i.ID, Path: i.Path, Kind: i.Kind}
	var used accessRow
	ok, err := r.getJSON(accessKey(i.ID, namespace), &used)
	if err == nil && ok && now.Sub(used.At) <= trackingPeriod {
		e.At, e.Region, e.Actions = used.At, used.Region, used.Actions
	}
	return e, err
}

// job returns a report, or NoSuchEntity.
func (r reader) job(id string) (*jobRow, error) {
	var row jobRow
	ok, err := r.getJSON(jobKey(r.account, id), &row)
	if err == nil && (!ok || r.Now().Sub(row.Created) > jobLife) {
		err = noSuchEntity("The job id %s cannot be found.", id)
	}
	return &row, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetServiceLastAccessedDetails.html
func (s *Service) GetServiceLastAccessedDetails(ctx context.Context, in *api.GetServiceLastAccessedDetailsInput) (*api.GetServiceLastAccessedDetailsOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.GetServiceLastAccessedDetailsOutput{}
	err = s.view(ctx, func(r reader) error {
		row, err := r.job(*in.JobId)
		if err != nil {
			return err
		}
		out.JobStatus, out.JobType, out.JobCreationDate, out.JobCompletionDate = new("COMPLETED"), &row.Granularity, &row.Created, &row.Created
		items := make([]item[api.ServiceLastAccessed], len(row.Services))
		for i := range row.Services {
			items[i] = item[api.ServiceLastAccessed]{row.Services[i].Namespace, row.Services[i].out(row.Granularity == "ACTION_LEVEL")}
		}
		out.ServicesLastAccessed, out.IsTruncated, out.Marker, err = take(p, beyond(items, p.after))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (j *jobService) out(withActions bool) api.ServiceLastAccessed {
	out := api.ServiceLastAccessed{ServiceName: &j.Name, ServiceNamespace: &j.Namespace, TotalAuthenticatedEntities: new(int32(0))}
	type last struct {
		actionUse
		entity string
	}
	actions := map[string]last{}
	for i := range j.Entities {
		e := &j.Entities[i]
		if e.At.IsZero() {
			continue
		}
		if *out.TotalAuthenticatedEntities++; out.LastAuthenticated == nil {
			out.LastAuthenticated, out.LastAuthenticatedEntity, out.LastAuthenticatedRegion = &e.At, &e.ARN, &e.Region
		}
		for name, use := range e.Actions {
			if old, known := actions[name]; !known || use.At.After(old.At) {
				actions[name] = last{use, e.ARN}
			}
		}
	}
	if !withActions {
		return out
	}
	for name, use := range actions {
		out.TrackedActionsLastAccessed = append(out.TrackedActionsLastAccessed, api.TrackedActionLastAccessed{
			ActionName: &name, LastAccessedEntity: &use.entity, LastAccessedTime: &use.At, LastAccessedRegion: &use.Region,
		})
	}
	slices.SortFunc(out.TrackedActionsLastAccessed, func(a, b api.TrackedActionLastAccessed) int {
		return cmp.Compare(*a.ActionName, *b.ActionName)
	})
	return out
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetServiceLastAccessedDetailsWithEntities.html
func (s *Service) GetServiceLastAccessedDetailsWithEntities(ctx context.Context, in *api.GetServiceLastAccessedDetailsWithEntitiesInput) (*api.GetServiceLastAccessedDetailsWithEntitiesOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.GetServiceLastAccessedDetailsWithEntitiesOutput{}
	err = s.view(ctx, func(r reader) error {
		row, err := r.job(*in.JobId)
		if err != nil {
			return err
		}
		out.JobStatus, out.JobCreationDate, out.JobCompletionDate = new("COMPLETED"), &row.Created, &row.Created
		at := slices.IndexFunc(row.Services, func(j jobService) bool { return j.Namespace == *in.ServiceNamespace })
		if at < 0 {
			return noSuchEntity("The service namespace %s is not in the report.", *in.ServiceNamespace)
		}
		items := make([]item[api.EntityDetails], len(row.Services[at].Entities))
		for i := range items {
			e := &row.Services[at].Entities[i]
			details := api.EntityDetails{EntityInfo: &api.EntityInfo{
				Arn: &e.ARN, Name: &e.Name, Id: &e.ID, Path: &e.Path, Type: new(strings.ToUpper(e.Kind.String())),
			}}
			if !e.At.IsZero() {
				details.LastAuthenticated = &e.At
			}
			items[i] = item[api.EntityDetails]{ordinal(i), details}
		}
		out.EntityDetailsList, out.IsTruncated, out.Marker, err = take(p, beyond(items, p.after))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPoliciesGrantingServiceAccess.html
func (s *Service) ListPoliciesGrantingServiceAccess(ctx context.Context, in *api.ListPoliciesGrantingServiceAccessInput) (*api.ListPoliciesGrantingServiceAccessOutput, error) {
	p, err := newPage(in.Marker, nil)
	if err != nil {
		return nil, err
	}
	out := &api.ListPoliciesGrantingServiceAccessOutput{}
	err = s.view(ctx, func(r reader) error {
		i, err := r.entity(*in.Arn)
		if err != nil {
			return err
		}
		sources, err := r.parsedSourcesOf(i)
		if err != nil {
			return err
		}
		items := make([]item[api.ListPoliciesGrantingServiceAccessEntry], len(in.ServiceNamespaces))
		for n := range in.ServiceNamespaces {
			entry := api.ListPoliciesGrantingServiceAccessEntry{ServiceNamespace: &in.ServiceNamespaces[n], Policies: []api.PolicyGrantingServiceAccess{}}
			for _, src := range sources {
				if !src.doc.Grants(fold(in.ServiceNamespaces[n])) {
					continue
				}
				granting := api.PolicyGrantingServiceAccess{PolicyName: &src.name, PolicyType: new("MANAGED")}
				if src.owner == nil {
					granting.PolicyArn = &src.arn
				} else {
					granting.PolicyType, granting.EntityName = new("INLINE"), &src.owner.Name
					granting.EntityType = new(strings.ToUpper(src.owner.Kind.String()))
				}
				entry.Policies = append(entry.Policies, granting)
			}
			items[n] = item[api.ListPoliciesGrantingServiceAccessEntry]{ordinal(n), entry}
		}
		out.PoliciesGrantingServiceAccess, out.IsTruncated, out.Marker, err = take(p, beyond(items, p.after))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

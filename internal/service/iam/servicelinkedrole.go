package iam

import (
	"context"
	"strings"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/service/iam/managed"
)

const (
	// linkedRolePath is the path of the roles that are linked to a service; the service's name follows.
	linkedRolePath = "/aws-service-role/"
	// deletionLife is how long the outcome of a deletion can be asked for.
	deletionLife = 7 * 24 * time.Hour
)

// A linkedService is a service that has roles of its own in accounts.
type linkedService struct {
	service string
	role    string // the role's name without "AWSServiceRoleFor"
	policy  string // the name of the policy that AWS manages for it
	suffix  bool   // there may be several, which a suffix tells apart
}

// linkedServices lists those services.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html
func linkedServices() []linkedService {
	return []linkedService{
		{"access-analyzer.amazonaws.com", "AccessAnalyzer", "AccessAnalyzerServiceRolePolicy", false},
		{"acm.amazonaws.com", "CertificateManager", "CertificateManagerServiceRolePolicy", false},
		{"apidestinations.events.amazonaws.com", "AmazonEventBridgeApiDestinations", "AmazonEventBridgeApiDestinationsServiceRolePolicy", false},
		{"appsync.amazonaws.com", "AppSync", "AWSAppSyncServiceRolePolicy", false},
		{"autoscaling.amazonaws.com", "AutoScaling", "AutoScalingServiceRolePolicy", true},
		{"backup.amazonaws.com", "Backup", "AWSBackupServiceLinkedRolePolicyForBackup", false},
		{"batch.amazonaws.com", "Batch", "BatchServiceRolePolicy", false},
		{"cloudtrail.amazonaws.com", "CloudTrail", "CloudTrailServiceRolePolicy", false},
		{"cloudwatch-crossaccount.amazonaws.com", "CloudWatchCrossAccount", "CloudWatch-CrossAccountAccess", false},
		{"config.amazonaws.com", "Config", "AWSConfigServiceRolePolicy", false},
		{"connect.amazonaws.com", "AmazonConnect", "AmazonConnectServiceLinkedRolePolicy", true},
		{"contributorinsights.dynamodb.amazonaws.com", "DynamoDBCloudWatchContributorInsights", "DynamoDBCloudWatchContributorInsightsServiceRolePolicy", false},
		{"custom-resource.application-autoscaling.amazonaws.com", "ApplicationAutoScaling_CustomResource", "AWSApplicationAutoScalingCustomResourcePolicy", true},
		{"dax.amazonaws.com", "DAX", "DAXServiceRolePolicy", false},
		{"dynamodb.application-autoscaling.amazonaws.com", "ApplicationAutoScaling_DynamoDBTable", "AWSApplicationAutoscalingDynamoDBTablePolicy", false},
		{"ecs.amazonaws.com", "ECS", "AmazonECSServiceRolePolicy", false},
		{"ecs.application-autoscaling.amazonaws.com", "ApplicationAutoScaling_ECSService", "AWSApplicationAutoscalingECSServicePolicy", false},
		{"eks.amazonaws.com", "AmazonEKS", "AmazonEKSServiceRolePolicy", false},
		{"eks-fargate.amazonaws.com", "AmazonEKSForFargate", "AmazonEKSForFargateServiceRolePolicy", false},
		{"eks-nodegroup.amazonaws.com", "AmazonEKSNodegroup", "AWSServiceRoleForAmazonEKSNodegroup", false},
		{"elasticache.amazonaws.com", "ElastiCache", "ElastiCacheServiceRolePolicy", false},
		{"elasticbeanstalk.amazonaws.com", "ElasticBeanstalk", "AWSElasticBeanstalkServiceRolePolicy", false},
		{"elasticfilesystem.amazonaws.com", "AmazonElasticFileSystem", "AmazonElasticFileSystemServiceRolePolicy", false},
		{"elasticloadbalancing.amazonaws.com", "ElasticLoadBalancing", "AWSElasticLoadBalancingServiceRolePolicy", false},
		{"elasticmapreduce.amazonaws.com", "EMRCleanup", "AmazonEMRCleanupPolicy", false},
		{"email.cognito-idp.amazonaws.com", "AmazonCognitoIdpEmailService", "AmazonCognitoIdpEmailServiceRolePolicy", false},
		{"es.amazonaws.com", "AmazonElasticsearchService", "AmazonElasticsearchServiceRolePolicy", false},
		{"events.amazonaws.com", "CloudWatchEvents", "CloudWatchEventsServiceRolePolicy", false},
		{"guardduty.amazonaws.com", "AmazonGuardDuty", "AmazonGuardDutyServiceRolePolicy", false},
		{"kafka.amazonaws.com", "Kafka", "KafkaServiceRolePolicy", false},
		{"kinesisreplication.dynamodb.amazonaws.com", "DynamoDBKinesisDataStreamsReplication", "DynamoDBKinesisReplicationServiceRolePolicy", false},
		{"lambda.application-autoscaling.amazonaws.com", "ApplicationAutoScaling_LambdaConcurrency", "AWSApplicationAutoscalingLambdaConcurrencyPolicy", false},
		{"lex.amazonaws.com", "LexBots", "LexBotPolicy", false},
		{"lexv2.amazonaws.com", "LexV2Bots", "AmazonLexV2BotPolicy", true},
		{"mq.amazonaws.com", "AmazonMQ", "AmazonMQServiceRolePolicy", false},
		{"opensearchservice.amazonaws.com", "AmazonOpenSearchService", "AmazonOpenSearchServiceRolePolicy", false},
		{"ops.apigateway.amazonaws.com", "APIGateway", "APIGatewayServiceRolePolicy", false},
		{"organizations.amazonaws.com", "Organizations", "AWSOrganizationsServiceTrustPolicy", false},
		{"rds.amazonaws.com", "RDS", "AmazonRDSServiceRolePolicy", false},
		{"redshift.amazonaws.com", "Redshift", "AmazonRedshiftServiceLinkedRolePolicy", false},
		{"replication.dynamodb.amazonaws.com", "DynamoDBReplication", "DynamoDBReplicationServiceRolePolicy", false},
		{"replication.ecr.amazonaws.com", "ECRReplication", "ECRReplicationServiceRolePolicy", false},
		{"replicator.lambda.amazonaws.com", "LambdaReplicator", "AWSLambdaReplicator", false},
		{"securityhub.amazonaws.com", "SecurityHub", "AWSSecurityHubServiceRolePolicy", false},
		{"ses.amazonaws.com", "AmazonSES", "AmazonSESServiceRolePolicy", false},
		{"spot.amazonaws.com", "EC2Spot", "AWSEC2SpotServiceRolePolicy", false},
		{"spotfleet.amazonaws.com", "EC2SpotFleet", "AWSEC2SpotFleetServiceRolePolicy", false},
		{"ssm.amazonaws.com", "AmazonSSM", "AmazonSSMServiceRolePolicy", false},
		{"sso.amazonaws.com", "SSO", "AWSSSOServiceRolePolicy", false},
		{"support.amazonaws.com", "Support", "AWSSupportServiceRolePolicy", false},
		{"trustedadvisor.amazonaws.com", "TrustedAdvisor", "AWSTrustedAdvisorServiceRolePolicy", false},
		{"wafv2.amazonaws.com", "WAFV2Logging", "WAFV2LoggingServiceRolePolicy", false},
	}
}

func findLinkedService(name string) (linkedService, bool) {
	for _, l := range linkedServices() {
		if l.service == name {
			return l, true
		}
	}
	return linkedService{}, false
}

// linkedRoleName is the name of the role that CreateServiceLinkedRole makes. It is given for services that there are
// none of too: for the ARN that permission is asked for.
func linkedRoleName(service string, suffix *string) string {
	l, _ := findLinkedService(service)
	name := "AWSServiceRoleFor" + l.role
	if suffix != nil {
		name += "_" + *suffix
	}
	return name
}

// linked says whether a role is linked to a service, so that nobody else may change what it can do.
func (i *identity) linked() bool {
	return i.Kind == kindRole && strings.HasPrefix(i.Path, linkedRolePath)
}

// unprotected refuses to change a role that is linked to a service.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create-service-linked-role.html
func (i *identity) unprotected() error {
	if !i.linked() {
		return nil
	}
	return &api.UnmodifiableEntityException{
		Message: new("Cannot perform the operation on the protected role '" + i.Name + "' - this role is only modifiable by AWS"),
	}
}

// A deletionRow is the row of a deletion that is done.
type deletionRow struct{ Done time.Time }

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceLinkedRole.html
func (s *Service) CreateServiceLinkedRole(ctx context.Context, in *api.CreateServiceLinkedRoleInput) (*api.CreateServiceLinkedRoleOutput, error) {
	service := *in.AWSServiceName
	l, ok := findLinkedService(service)
	switch {
	case !ok:
		return nil, invalidInput("Service Linked Roles for service %s are not supported.", service)
	case in.CustomSuffix != nil && !l.suffix:
		return nil, invalidInput("Custom suffix is not allowed for %s", service)
	}
	name := linkedRoleName(service, in.CustomSuffix)
	if len(name) > 64 {
		return nil, invalidInput("The role name %s is longer than 64 characters.", name)
	}
	out := &api.CreateServiceLinkedRoleOutput{}
	err := s.update(ctx, func(t txn) error {
		taken, err := t.has(identityKey(t.account, kindRole, name))
		if err != nil {
			return err
		}
		if taken {
			return invalidInput("Service role name %s has been taken in this account, please try a different suffix.", name)
		}
		role, err := t.create(kindRole, name, new(linkedRolePath+service+"/"))
		if err != nil {
			return err
		}
		role.MaxSession, role.Description = defaultMaxSession, str(in.Description)
		trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`
		if err := t.trust(role, trust); err != nil {
			return err
		}
		policyARN := arn(awsAccount, "policy"+serviceRolePath+l.policy)
		if _, ok := managed.Get(policyARN); ok {
			if err := t.setAttached(role, policyARN); err != nil {
				return err
			}
		}
		out.Role = role.fullRole(t.account)
		return t.put(role)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteServiceLinkedRole deletes the role at once: no resource of Brume uses one.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteServiceLinkedRole.html
func (s *Service) DeleteServiceLinkedRole(ctx context.Context, in *api.DeleteServiceLinkedRoleInput) (*api.DeleteServiceLinkedRoleOutput, error) {
	out := &api.DeleteServiceLinkedRoleOutput{}
	err := s.update(ctx, func(t txn) error {
		role, err := t.identity(kindRole, *in.RoleName)
		if err != nil {
			return err
		}
		if !role.linked() {
			return invalidInput("The role %s is not linked to a service.", role.Name)
		}
		for p, err := range t.attached(role.ID, "", nil) {
			if err != nil {
				return err
			}
			if err := t.setDetached(role, p.value.arn()); err != nil {
				return err
			}
		}
		if err := t.remove(role); err != nil {
			return err
		}
		now := t.tx.Now().UTC().Truncate(time.Second)
		for old, err := range t.Scan(kv.Prefix(deletionScope(t.account))) {
			var row deletionRow
			if err == nil {
				_, err = t.getJSON(old.Key, &row)
			}
			if err == nil && now.Sub(row.Done) > deletionLife {
				err = t.tx.Delete(old.Key)
			}
			if err != nil {
				return err
			}
		}
		task := "task" + role.Path + role.Name + "/" + call.NewRequestID()
		out.DeletionTaskId = &task
		return t.setJSON(deletionKey(t.account, task), deletionRow{now})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetServiceLinkedRoleDeletionStatus.html
func (s *Service) GetServiceLinkedRoleDeletionStatus(ctx context.Context, in *api.GetServiceLinkedRoleDeletionStatusInput) (*api.GetServiceLinkedRoleDeletionStatusOutput, error) {
	task := *in.DeletionTaskId
	if !strings.HasPrefix(task, "task"+linkedRolePath) || strings.Count(task, "/") != 4 {
		return nil, invalidInput("The deletion task id %s is not valid.", task)
	}
	err := s.view(ctx, func(r reader) error {
		known, err := r.has(deletionKey(r.account, task))
		if err == nil && !known {
			err = noSuchEntity("Deletion task %s cannot be found.", task)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.GetServiceLinkedRoleDeletionStatusOutput{Status: new("SUCCEEDED")}, nil
}

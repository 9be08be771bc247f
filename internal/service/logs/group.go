package logs

import (
	"bytes"
	"context"
	"slices"
	"strings"

	api "brume/internal/api/logs"
	"brume/internal/awserr"
	"brume/internal/kv"
)

// groupRow is what is stored of a log group.
type groupRow struct {
	// ID is unique for ever, so that a new group of an old name has nothing to do with the old one's events.
	ID            uint64            `json:"id"`
	CreationTime  int64             `json:"creationTime"` // milliseconds since 1970
	RetentionDays int32             `json:"retentionDays,omitempty"`
	Class         string            `json:"class"`
	KMSKeyID      string            `json:"kmsKeyId,omitempty"`
	Tags          map[string]string `json:"tags,omitempty"`
	// How many filters there are, so that a group without any costs nothing for them.
	MetricFilters int32 `json:"metricFilters,omitempty"`
	Subscriptions int32 `json:"subscriptions,omitempty"`
}

// pageSize is the default and the largest page of DescribeLogGroups and DescribeLogStreams.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html
const pageSize = 50

func (s *Service) CreateLogGroup(ctx context.Context, in *api.CreateLogGroupInput) (*api.CreateLogGroupOutput, error) {
	sc := scopeOf(ctx)
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	class := api.LogGroupClassStandard
	if in.LogGroupClass != nil {
		class = *in.LogGroupClass
	}
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		key := groupKey(sc, *in.LogGroupName)
		if _, exists, err := tx.Get(key); err != nil {
			return err
		} else if exists {
			return &api.ResourceAlreadyExistsException{Message: new("The specified log group already exists")}
		}
		row := groupRow{ID: newID(), CreationTime: tx.Now().UnixMilli(), Class: class, Tags: in.Tags}
		if in.KmsKeyId != nil {
			row.KMSKeyID = *in.KmsKeyId
		}
		return setJSON(tx, key, row)
	})
	if err != nil {
		return nil, err
	}
	return new(api.CreateLogGroupOutput), nil
}

func (s *Service) DeleteLogGroup(ctx context.Context, in *api.DeleteLogGroupInput) (*api.DeleteLogGroupOutput, error) {
	sc := scopeOf(ctx)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getGroup(tx, sc, *in.LogGroupName)
		if err != nil {
			return err
		}
		for _, prefix := range [][]byte{
			streamPrefix(row.ID), groupEventPrefix(row.ID), metricFilterPrefix(row.ID), subscriptionPrefix(row.ID),
		} {
			if err := tx.Set(trashKey(prefix), nil); err != nil {
				return err
			}
		}
		return tx.Delete(groupKey(sc, *in.LogGroupName))
	})
	if err != nil {
		return nil, err
	}
	s.wake()
	return new(api.DeleteLogGroupOutput), nil
}

func (s *Service) DescribeLogGroups(ctx context.Context, in *api.DescribeLogGroupsInput) (*api.DescribeLogGroupsOutput, error) {
	if in.LogGroupNamePrefix != nil && in.LogGroupNamePattern != nil {
		return nil, invalidParameter("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	sc := scopeOf(ctx)
	limit := pageLimit(in.Limit)
	prefix := ""
	if in.LogGroupNamePrefix != nil {
		prefix = *in.LogGroupNamePrefix
	}
	r := kv.Range{Start: groupKeyPrefix(sc, prefix), End: kv.PrefixEnd(groupKeyPrefix(sc, prefix))}
	if in.NextToken != nil {
		after, err := parseNameToken(*in.NextToken)
		if err != nil {
			return nil, err
		}
		if next := append(groupKey(sc, after), 0); bytes.Compare(next, r.Start) > 0 {
			r.Start = next
		}
	}
	out := &api.DescribeLogGroupsOutput{LogGroups: []api.LogGroup{}}
	err := s.store.View(ctx, func(tx kv.Reader) error {
		for pair, err := range tx.Scan(r) {
			if err != nil {
				return err
			}
			_, name, err := parseGroupKey(pair.Key)
			if err != nil {
				return err
			}
			var row groupRow
			if _, err := getJSON(tx, pair.Key, &row); err != nil {
				return err
			}
			if in.LogGroupNamePattern != nil && !strings.Contains(strings.ToLower(name), strings.ToLower(*in.LogGroupNamePattern)) ||
				in.LogGroupClass != nil && row.Class != *in.LogGroupClass {
				continue
			}
			if len(out.LogGroups) == limit {
				out.NextToken = new(nameToken(*out.LogGroups[limit-1].LogGroupName))
				return nil
			}
			stored, err := storedBytes(tx, row.ID)
			if err != nil {
				return err
			}
			out.LogGroups = append(out.LogGroups, row.describe(sc, name, stored))
		}
		return nil
	})
	return out, err
}

func (row *groupRow) describe(sc scope, name string, stored int64) api.LogGroup {
	g := api.LogGroup{
		LogGroupName:      new(name),
		CreationTime:      new(row.CreationTime),
		MetricFilterCount: new(row.MetricFilters),
		Arn:               new(sc.groupARN(name) + ":*"),
		LogGroupArn:       new(sc.groupARN(name)),
		StoredBytes:       new(stored),
		LogGroupClass:     new(row.Class),
	}
	if row.RetentionDays > 0 {
		g.RetentionInDays = new(row.RetentionDays)
	}
	if row.KMSKeyID != "" {
		g.KmsKeyId = new(row.KMSKeyID)
	}
	return g
}

// storedBytes adds up the streams of a group.
func storedBytes(tx kv.Reader, groupID uint64) (int64, error) {
	var sum int64
	for pair, err := range tx.Scan(kv.Prefix(streamPrefix(groupID))) {
		if err != nil {
			return 0, err
		}
		var row streamRow
		if _, err := getJSON(tx, pair.Key, &row); err != nil {
			return 0, err
		}
		sum += row.StoredBytes
	}
	return sum, nil
}

func getGroup(tx kv.Reader, sc scope, name string) (*groupRow, error) {
	row := new(groupRow)
	ok, err := getJSON(tx, groupKey(sc, name), row)
	if err == nil && !ok {
		err = groupNotFound()
	}
	return row, err
}

func (s *Service) updateGroup(ctx context.Context, name string, change func(*groupRow) error) error {
	sc := scopeOf(ctx)
	return s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getGroup(tx, sc, name)
		if err != nil {
			return err
		}
		if err := change(row); err != nil {
			return err
		}
		return setJSON(tx, groupKey(sc, name), row)
	})
}

// retentionDays are the periods that PutRetentionPolicy takes.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
var retentionDays = [...]int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
	3288, 3653}

func (s *Service) PutRetentionPolicy(ctx context.Context, in *api.PutRetentionPolicyInput) (*api.PutRetentionPolicyOutput, error) {
	if !slices.Contains(retentionDays[:], *in.RetentionInDays) {
		return nil, invalidParameter("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: "+
			"Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, "+
			"2557, 2922, 3288, 3653]", *in.RetentionInDays)
	}
	err := s.updateGroup(ctx, *in.LogGroupName, func(row *groupRow) error {
		row.RetentionDays = *in.RetentionInDays
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.wake()
	return new(api.PutRetentionPolicyOutput), nil
}

func (s *Service) DeleteRetentionPolicy(ctx context.Context, in *api.DeleteRetentionPolicyInput) (*api.DeleteRetentionPolicyOutput, error) {
	err := s.updateGroup(ctx, *in.LogGroupName, func(row *groupRow) error {
		row.RetentionDays = 0
		return nil
	})
	return new(api.DeleteRetentionPolicyOutput), err
}

// groupName is the name of the group that an identifier, a name or an ARN with or without ":*", speaks of.
func groupName(sc scope, identifier string) (string, error) {
	if !strings.HasPrefix(identifier, "arn:") {
		return identifier, nil
	}
	name, ok := strings.CutPrefix(strings.TrimSuffix(identifier, ":*"), sc.groupARN(""))
	if !ok || name == "" || strings.Contains(name, ":") {
		return "", groupNotFound()
	}
	return name, nil
}

// oneGroup resolves the pair of parameters that many operations take for one group.
func oneGroup(sc scope, name, identifier *string) (string, error) {
	switch {
	case name != nil && identifier != nil:
		return "", invalidParameter("LogGroup name and LogGroup identifier are mutually exclusive parameters.")
	case name != nil:
		return *name, nil
	case identifier != nil:
		return groupName(sc, *identifier)
	}
	return "", invalidParameter("Either LogGroup name or LogGroup identifier must be provided.")
}

// checkReadable refuses to read events of groups that only queries may read.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch_Logs_Log_Classes.html
func checkReadable(group *groupRow) error {
	if group.Class == api.LogGroupClassStandard {
		return nil
	}
	return invalidParameter("The operation is not supported for log groups of the class %s.", group.Class)
}

// checkFilterable likewise refuses filters.
func checkFilterable(group *groupRow) error {
	if group.Class == api.LogGroupClassStandard {
		return nil
	}
	return &api.InvalidOperationException{Message: new("Filters are not supported for log groups of the class " + group.Class + ".")}
}

func pageLimit(limit *int32) int {
	if limit == nil {
		return pageSize
	}
	return min(int(*limit), pageSize)
}

func checkToken(ok bool) error {
	if ok {
		return nil
	}
	return awserr.New("InvalidParameterException", "The specified nextToken is invalid.")
}

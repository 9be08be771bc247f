package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

const (
	// partitions, of partitionItems items each, are what the loads spread over.
	partitions     = 100
	partitionItems = 10
	itemText       = 340 // makes an item of about 400 bytes
)

func item(username string) string {
	return fmt.Sprintf(`{"username":{"S":"user-%s"},"age":{"N":"41"},"text":{"S":%q}}`, username, strings.Repeat("x", itemText))
}

// user makes an IAM user who may do anything but administer, and returns the configuration of their client. Root would
// do, but for root no policy is evaluated.
func (b *bench) user(ctx context.Context, name string) (aws.Config, error) {
	client := iam.NewFromConfig(b.cfg)
	if _, err := client.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}); err != nil {
		return aws.Config{}, err
	}
	if _, err := client.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{
		UserName: &name, PolicyArn: aws.String("arn:aws:iam::aws:policy/PowerUserAccess"),
	}); err != nil {
		return aws.Config{}, err
	}
	key, err := client.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		return aws.Config{}, err
	}
	return b.config(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey), nil
}

func createTable(ctx context.Context, client *dynamodb.Client, name string) error {
	if _, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &name,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("username"), AttributeType: "S"}, {AttributeName: aws.String("at"), AttributeType: "N"}},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("username"), KeyType: "HASH"}, {AttributeName: aws.String("at"), KeyType: "RANGE"}},
		BillingMode: "PAY_PER_REQUEST",
	}); err != nil {
		return err
	}
	return dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute)
}

// An operation of DynamoDB as the two clients send it, for the item at of partition p.
type operation struct {
	name string
	body func(p, at int) string
	sdk  func(ctx context.Context, client *dynamodb.Client, p, at int) error
}

// prepare makes a table with an item for each put, and returns the requests of each operation, and a client.
func (b *bench) prepare(ctx context.Context) (requests map[string][][]byte, client *dynamodb.Client, err error) {
	cfg, err := b.user(ctx, "bench")
	if err != nil {
		return nil, nil, err
	}
	client = dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		o.HTTPClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: b.workers}}
	})
	if err := createTable(ctx, client, "bench"); err != nil {
		return nil, nil, err
	}
	requests = map[string][][]byte{}
	for _, op := range dynamoOperations("bench") {
		for i := range partitions * partitionItems {
			r, err := b.signed(cfg, "dynamodb", http.MethodPost, "/", "DynamoDB_20120810."+op.name,
				[]byte(op.body(i%partitions, i/partitions)))
			if err != nil {
				return nil, nil, err
			}
			requests[op.name] = append(requests[op.name], r)
		}
	}
	send, closeIt, err := b.raw(b.address(), requests["PutItem"])()
	if err != nil {
		return nil, nil, err
	}
	for i := range requests["PutItem"] {
		if err := send(i); err != nil {
			return nil, nil, err
		}
	}
	return requests, client, closeIt()
}

func (b *bench) dynamoDB(ctx context.Context) error {
	requests, client, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	operations := dynamoOperations("bench")
	for _, op := range operations {
		if err := b.measure(op.name, 0, requests[op.name]); err != nil {
			return err
		}
	}
	var mix [][]byte
	for i := range partitions * partitionItems {
		mix = append(mix, requests[mixture[i%len(mixture)]][i])
	}
	if err := b.measure("mixed: 5 gets, 3 puts, update, query", 0, mix); err != nil {
		return err
	}
	byName := map[string]*operation{}
	bySDK := func(name string, op func(i int) *operation) error {
		return b.load(name+", SDK", b.server.PID(), 0, func() (request, func() error, error) {
			return func(i int) error { return op(i).sdk(ctx, client, i%partitions, i/partitions%partitionItems) },
				func() error { return nil }, nil
		})
	}
	for i := range operations {
		op := &operations[i]
		byName[op.name] = op
		if err := bySDK(op.name, func(int) *operation { return op }); err != nil {
			return err
		}
	}
	return bySDK("mixed", func(i int) *operation { return byName[mixture[i%len(mixture)]] })
}

// mixture is the mixed load.
var mixture = [...]string{"GetItem", "PutItem", "GetItem", "Query", "GetItem", "PutItem", "GetItem", "UpdateItem", "GetItem", "PutItem"}

// dynamoOperations are the operations on a table that has been made by createTable.
func dynamoOperations(table string) []operation {
	text := strings.Repeat("x", itemText)
	user := func(p int) string { return fmt.Sprintf("user-%07d", p) }
	jsonKey := func(p, at int) string { return fmt.Sprintf(`"username":{"S":%q},"at":{"N":"%d"}`, user(p), at) }
	sdkKey := func(p, at int) map[string]types.AttributeValue {
		return map[string]types.AttributeValue{
			"username": &types.AttributeValueMemberS{Value: user(p)}, "at": &types.AttributeValueMemberN{Value: strconv.Itoa(at)}}
	}
	return []operation{
		{"PutItem",
			func(p, at int) string {
				return fmt.Sprintf(`{"TableName":%q,"Item":{%s,"age":{"N":"41"},"text":{"S":%q}}}`, table, jsonKey(p, at), text)
			},
			func(ctx context.Context, client *dynamodb.Client, p, at int) error {
				item := sdkKey(p, at)
				item["age"] = &types.AttributeValueMemberN{Value: "41"}
				item["text"] = &types.AttributeValueMemberS{Value: text}
				_, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: item})
				return err
			}},
		{"GetItem",
			func(p, at int) string { return fmt.Sprintf(`{"TableName":%q,"Key":{%s}}`, table, jsonKey(p, at)) },
			func(ctx context.Context, client *dynamodb.Client, p, at int) error {
				out, err := client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: sdkKey(p, at)})
				if err == nil && len(out.Item) != 4 {
					err = fmt.Errorf("item %d of partition %d has %d attributes", at, p, len(out.Item))
				}
				return err
			}},
		{"UpdateItem",
			func(p, at int) string {
				return fmt.Sprintf(`{"TableName":%q,"Key":{%s},"UpdateExpression":"ADD age :n","ExpressionAttributeValues":{":n":{"N":"1"}}}`,
					table, jsonKey(p, at))
			},
			func(ctx context.Context, client *dynamodb.Client, p, at int) error {
				_, err := client.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: sdkKey(p, at),
					UpdateExpression:          aws.String("ADD age :n"),
					ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: "1"}}})
				return err
			}},
		{"Query",
			func(p, _ int) string {
				return fmt.Sprintf(`{"TableName":%q,"KeyConditionExpression":"username = :u","ExpressionAttributeValues":{":u":{"S":%q}},"Limit":%d}`,
					table, user(p), partitionItems)
			},
			func(ctx context.Context, client *dynamodb.Client, p, _ int) error {
				out, err := client.Query(ctx, &dynamodb.QueryInput{TableName: &table, Limit: aws.Int32(partitionItems),
					KeyConditionExpression:    aws.String("username = :u"),
					ExpressionAttributeValues: map[string]types.AttributeValue{":u": &types.AttributeValueMemberS{Value: user(p)}}})
				if err == nil && len(out.Items) != partitionItems {
					err = fmt.Errorf("the query found %d items", len(out.Items))
				}
				return err
			}},
	}
}

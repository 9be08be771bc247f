package boto3

import "testing"

// DynamoDB through boto3's resources, conditions, paginators, waiters and batch writers.
func TestDynamoDBWithBoto3(t *testing.T) { suite(t, "dynamodb.py") }

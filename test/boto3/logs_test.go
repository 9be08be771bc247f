package boto3

import "testing"

func TestLogs(t *testing.T) { suite(t, "logs.py") }

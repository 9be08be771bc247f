package boto3

import "testing"

func TestSTS(t *testing.T) { suite(t, "sts.py") }

package boto3

import "testing"

func TestWebSocketAPIs(t *testing.T) { suite(t, "websocket.py") }

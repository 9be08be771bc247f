package main

// The service models come as data files in this module. The import keeps it in go.mod and go.sum.
import _ "github.com/aws/aws-sdk-go/aws"

package main

//lint:file-ignore SA1019 The module is used for its data files alone, which have no successor.

// The service models come as data files in this module. The import keeps it in go.mod and go.sum.
import _ "github.com/aws/aws-sdk-go/aws"

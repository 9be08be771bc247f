// Package restxml is the place of the codec for the protocol restXml. It arrives with S3, the first service that speaks
// it; package xmlvalue already writes what it shares with awsQuery.
//
// https://smithy.io/2.0/aws/protocols/aws-restxml-protocol.html
package restxml

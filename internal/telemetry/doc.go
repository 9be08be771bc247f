// Package telemetry is the Lambda Telemetry API, and the Logs API that came before it, for one execution environment:
// extensions subscribe to what happens there, and it is delivered to servers that they run inside.
//
// The package promises:
//
//   - Publish never waits: not for a subscriber, not for the network. What a subscriber does not take in time is dropped,
//     counted, and told to it by platform.logsDropped.
//   - Each subscriber gets what it asked for in the order in which it was published, from the beginning of the init phase on,
//     and in batches. A batch that it has not acknowledged is sent again, with pauses, until it has. Nothing is dropped within
//     the buffer it asked for, twice over, as long as all of them together stay within their Budget.
//   - Nothing is sent while the Hub is paused: the environment is frozen then.
//   - The subscriber is not trusted. Nothing is dialled but a port of its own environment, its answers are bounded, and one that
//     never answers costs its own buffer.
//   - After Close no goroutine and no connection is left.
//
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html
package telemetry

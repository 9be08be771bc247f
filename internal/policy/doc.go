// Package policy evaluates IAM policies. It is pure: it does no I/O, keeps no state and starts no goroutine, so every
// decision follows from its arguments alone.
//
// Parse turns the JSON of a policy into a compiled Document, or says in AWS's words what is wrong with it. Evaluate
// decides one Check against the policies of a principal, in the order that AWS documents:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
//
// What it promises:
//
//   - The default is to deny. What Parse does not understand it refuses. A value in a request that cannot be compared,
//     or a policy variable that cannot be resolved, never makes an Allow apply, and never keeps a Deny from applying
//     whose test is a negated one.
//   - A Document is immutable, so goroutines may share it.
//   - Evaluation uses no reflection and no regular expressions. A wildcard pattern of length m takes time proportional
//     to n on a text of length n, or to n·⌈m/64⌉ if it holds a '?', whatever the pattern and the text are.
//   - Actions, condition keys and tag keys compare without regard to case; resources, principals and values with it.
package policy

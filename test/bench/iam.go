package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	iamapi "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/kv/pebblekv"
	"brume/internal/policy"
	"brume/internal/seal"
	"brume/internal/service/iam"
	"brume/internal/service/sts"
	"brume/internal/wire/sigv4"
)

// measureIAM prints the CPU that authentication and authorisation take of one call, by a user who has PowerUserAccess and
// ten customer policies: what happens between the arrival of a request and its handler. It runs in this process, for from
// outside it cannot be told from the rest of a call.
func measureIAM(ctx context.Context, duration time.Duration) error {
	fmt.Printf("\n%-64s %12s\n", "authentication + authorisation, PowerUserAccess + 10 policies", "CPU per call")
	for _, size := range []struct{ users, policies int }{{1, 10}, {10_000, 1000}} {
		g, err := newGate(ctx, size.users, size.policies)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%d users, %d customer policies", size.users, size.policies)
		if err := g.measure(ctx, what+", one calls", duration, g.requests[:1]); err != nil {
			return err
		}
		if err := g.measure(ctx, what+", all call in turn", duration, g.requests); err != nil {
			return err
		}
		if err := g.measure(ctx, what+", a role's session calls", duration, []*http.Request{g.session}); err != nil {
			return err
		}
		if err := g.store.Close(); err != nil {
			return err
		}
	}
	return nil
}

// A gate is what a call passes before its handler runs.
type gate struct {
	store      *pebblekv.Store
	identities *iam.Service
	verifier   *sigv4.Verifier
	requests   []*http.Request // one of each user, signed
	session    *http.Request   // of a role's session
	body       []byte
}

// usersPerAccount is a quota.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const usersPerAccount = 5000

// gatePolicy is a customer policy as people write them: grants on some resources, and guard rails.
func gatePolicy(i int) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:PutItem","dynamodb:Query"],"Resource":"arn:aws:dynamodb:*:000000000000:table/Table%d-*"},
		{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::bucket-%d/${aws:username}/*"},
		{"Effect":"Deny","Action":"dynamodb:*","Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["us-east-1","eu-west-%d"]}}},
		{"Effect":"Deny","Action":"lambda:Delete*","Resource":"*","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}]}`, i, i, i)
}

// newGate makes a gate with as many users and customer policies, in as many accounts as they need. Each user has
// PowerUserAccess attached, and ten policies by a group.
func newGate(ctx context.Context, users, policies int) (*gate, error) {
	store, err := pebblekv.Open(ctx, pebblekv.Options{Dir: "store", FS: vfs.NewMem()})
	if err != nil {
		return nil, err
	}
	master, err := seal.ParseMaster(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, seal.KeySize)))
	if err != nil {
		return nil, err
	}
	keyBox, err := master.Box("access-key")
	if err != nil {
		return nil, err
	}
	tokenBox, err := master.Box("session-token")
	if err != nil {
		return nil, err
	}
	g := &gate{store: store, identities: iam.New(store, keyBox, slog.New(slog.DiscardHandler)), requests: make([]*http.Request, users)}
	tokens := sts.New(sts.Options{Identities: g.identities, Sealer: tokenBox})
	g.verifier = sigv4.NewVerifier(tokens)
	g.body = []byte(`{"TableName":"bench","Item":` + item("0") + `}`)

	accounts := (users + usersPerAccount - 1) / usersPerAccount
	for i := range accounts {
		if err := g.addAccount(ctx, tokens, i*users/accounts, (i+1)*users/accounts, policies/accounts); err != nil {
			return nil, err
		}
	}
	return g, nil
}

const powerUser = "arn:aws:iam::aws:policy/PowerUserAccess"

// addAccount makes an account of the users from first to last, with so many policies, of which each group has ten.
func (g *gate) addAccount(ctx context.Context, tokens *sts.Service, first, last, policies int) error {
	account := fmt.Sprintf("%012d", 1+first)
	ctx = call.With(ctx, &call.Info{Account: account, Region: "us-east-1", Time: time.Now(), Secure: true, Principal: call.Principal{
		Type: call.Account, Account: account, ARN: "arn:aws:iam::" + account + ":root", ID: account,
	}})
	s := g.identities
	var arns []string
	groups := policies / 10
	for i := range groups {
		group := new(fmt.Sprint("group-", i))
		if _, err := s.CreateGroup(ctx, &iamapi.CreateGroupInput{GroupName: group}); err != nil {
			return err
		}
		for j := range 10 {
			out, err := s.CreatePolicy(ctx, &iamapi.CreatePolicyInput{PolicyName: new(fmt.Sprint("p", 10*i+j)), PolicyDocument: new(gatePolicy(10*i + j))})
			if err != nil {
				return err
			}
			arns = append(arns, *out.Policy.Arn)
			if _, err := s.AttachGroupPolicy(ctx, &iamapi.AttachGroupPolicyInput{GroupName: group, PolicyArn: out.Policy.Arn}); err != nil {
				return err
			}
		}
	}
	if err := g.addRole(ctx, tokens, arns); err != nil {
		return err
	}
	var (
		wg     sync.WaitGroup
		failed = make(chan error, last-first)
		limit  = make(chan struct{}, 16)
	)
	for i := first; i < last; i++ {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			if err := g.addUser(ctx, i, new(fmt.Sprint("group-", i%groups))); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

func (g *gate) addUser(ctx context.Context, i int, group *string) error {
	s, name := g.identities, new(fmt.Sprint("user-", i))
	if _, err := s.CreateUser(ctx, &iamapi.CreateUserInput{UserName: name}); err != nil {
		return err
	}
	if _, err := s.AddUserToGroup(ctx, &iamapi.AddUserToGroupInput{GroupName: group, UserName: name}); err != nil {
		return err
	}
	if _, err := s.AttachUserPolicy(ctx, &iamapi.AttachUserPolicyInput{UserName: name, PolicyArn: new(powerUser)}); err != nil {
		return err
	}
	out, err := s.CreateAccessKey(ctx, &iamapi.CreateAccessKeyInput{UserName: name})
	if err != nil {
		return err
	}
	g.requests[i], err = g.request(sigv4.Key{AccessKeyID: *out.AccessKey.AccessKeyId, Secret: *out.AccessKey.SecretAccessKey})
	return err
}

func (g *gate) addRole(ctx context.Context, tokens *sts.Service, arns []string) error {
	s, name := g.identities, new("role")
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`
	out, err := s.CreateRole(ctx, &iamapi.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		return err
	}
	for _, arn := range append([]string{powerUser}, arns[:9]...) {
		if _, err := s.AttachRolePolicy(ctx, &iamapi.AttachRolePolicyInput{RoleName: name, PolicyArn: &arn}); err != nil {
			return err
		}
	}
	if _, err := s.PutRolePolicy(ctx, &iamapi.PutRolePolicyInput{RoleName: name, PolicyName: new("tenth"), PolicyDocument: new(gatePolicy(9))}); err != nil {
		return err
	}
	c, err := tokens.IssueRoleSession(ctx, sts.ServiceSession{
		Service: "lambda.amazonaws.com", SourceAccount: strings.Split(*out.Role.Arn, ":")[4], RoleARN: *out.Role.Arn, Name: "session", Duration: time.Hour,
	})
	if err != nil {
		return err
	}
	g.session, err = g.request(sigv4.Key{AccessKeyID: c.AccessKeyID, Secret: c.SecretAccessKey, SessionToken: c.SessionToken})
	return err
}

// request is a signed PutItem with the headers that an SDK sends.
func (g *gate) request(key sigv4.Key) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:4566/", nil)
	if err != nil {
		return nil, err
	}
	r.RequestURI = "/"
	r.ContentLength = int64(len(g.body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.PutItem")
	r.Header.Set("User-Agent", "aws-sdk-go-v2/1.47.1 ua/2.1 os/linux lang/go#1.26.0 md/GOOS#linux md/GOARCH#amd64 api/dynamodb#1.70.0")
	r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	r.Header.Set("Amz-Sdk-Invocation-Id", strings.Repeat("0123456789ab", 3))
	sigv4.Sign(r, g.body, key, "us-east-1", "dynamodb", time.Now())
	return r, nil
}

// pass is one call's way through the gate.
func (g *gate) pass(ctx context.Context, r *http.Request, now time.Time) error {
	result, err := g.verifier.Verify(ctx, r, g.body, "dynamodb", now)
	if err != nil {
		return err
	}
	info := &call.Info{
		Account: result.Principal.Account, Region: result.Region, Principal: result.Principal, Time: now, Service: "dynamodb", Operation: "PutItem",
	}
	g.identities.RecordUse(info)
	policies, err := g.identities.PoliciesFor(ctx, &info.Principal)
	if err != nil {
		return err
	}
	return policy.Authorize(info, policies, []policy.Check{{
		Action: "dynamodb:PutItem", Resource: "arn:aws:dynamodb:us-east-1:" + info.Account + ":table/bench",
		Context: map[string][]string{"dynamodb:LeadingKeys": {"0"}, "dynamodb:Attributes": {"id", "data"}},
	}})
}

func (g *gate) measure(ctx context.Context, what string, duration time.Duration, requests []*http.Request) error {
	for _, r := range requests { // what is asked for the first time is read from the store
		if err := g.pass(ctx, r, time.Now()); err != nil {
			return err
		}
	}
	calls, start, before := 0, time.Now(), processCPU()
	for time.Since(start) < duration {
		for range 100 {
			if err := g.pass(ctx, requests[calls%len(requests)], start); err != nil {
				return err
			}
			calls++
		}
	}
	perCall := (processCPU() - before) / time.Duration(calls)
	fmt.Printf("%-64s %9.2f µs\n", what, float64(perCall)/float64(time.Microsecond))
	return nil
}

// processCPU is what this process has used so far.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

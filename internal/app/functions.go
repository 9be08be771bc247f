package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	logsapi "brume/internal/api/logs"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/policy"
	"brume/internal/sandboxnet"
	"brume/internal/service/cloudtrail"
	"brume/internal/service/iam"
	"brume/internal/service/lambda"
	"brume/internal/service/lambda/environment"
	"brume/internal/service/sts"
)

const lambdaPrincipal = "lambda.amazonaws.com"

// roles gives Lambda the credentials of execution roles.
type roles struct {
	sts   *sts.Service
	audit *cloudtrail.Service
}

func (r roles) IssueRoleSession(ctx context.Context, roleARN, sessionName string, d time.Duration) (*environment.Credentials, error) {
	info := call.From(ctx)
	c, err := r.sts.IssueRoleSession(ctx, sts.ServiceSession{
		Service: lambdaPrincipal, RoleARN: roleARN, Name: sessionName, Duration: d,
		SourceARN: info.SourceARN, SourceAccount: info.SourceAccount,
	})
	recordRoleSession(ctx, r.audit, lambdaPrincipal, roleARN, sessionName, c, err)
	if err != nil {
		if hasCode(err, "AccessDenied") {
			return nil, environment.ErrRoleDenied
		}
		return nil, err
	}
	return &environment.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expiry: c.Expiry,
	}, nil
}

// MayAssume says whether Lambda may assume a role.
func (r roles) MayAssume(ctx context.Context, roleARN, functionARN string) error {
	err := r.sts.MayAssume(ctx, sts.ServiceSession{
		Service: lambdaPrincipal, RoleARN: roleARN, Name: functionARN[strings.LastIndexByte(functionARN, ':')+1:],
		SourceARN: functionARN, SourceAccount: call.From(ctx).Account,
	})
	if hasCode(err, "AccessDenied") {
		return lambda.ErrRoleDenied
	}
	return err
}

func hasCode(err error, codes ...string) bool {
	var known awserr.Error
	if !errors.As(err, &known) {
		return false
	}
	for _, code := range codes {
		if known.ErrorCode() == code {
			return true
		}
	}
	return false
}

// functionLogs stores the logs of functions, each with the permissions of its execution role.
type functionLogs struct {
	iam        *iam.Service
	dispatcher *dispatch.Dispatcher
}

func (l functionLogs) PutLogEvents(ctx context.Context, stream *environment.LogStream, events []environment.LogEvent) error {
	role, err := l.iam.Role(ctx, stream.Role)
	if err != nil {
		return err
	}
	if role == nil {
		return environment.ErrLogsDenied
	}
	ctx = call.With(ctx, &call.Info{
		Account: stream.Account, Region: stream.Region, Secure: true, Time: time.Now(), ViaService: lambdaPrincipal,
		Principal: sessionOf(role, stream.FunctionName), RequestID: call.NewRequestID(),
	})
	list := make([]logsapi.InputLogEvent, len(events))
	for i := range events {
		list[i] = logsapi.InputLogEvent{Timestamp: &events[i].Timestamp, Message: &events[i].Message}
	}
	err = putLogEvents(ctx, l.dispatcher, stream.Group, stream.Stream, list)
	if hasCode(err, "AccessDenied") {
		return environment.ErrLogsDenied
	}
	return err
}

// putLogEvents writes events for the caller of ctx. It makes the stream, and the group, if they do not exist.
func putLogEvents(ctx context.Context, d *dispatch.Dispatcher, group, stream string, events []logsapi.InputLogEvent) error {
	in := &logsapi.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream, LogEvents: events}
	_, err := dispatch.Run[logsapi.PutLogEventsOutput](ctx, d, "logs", "PutLogEvents", in)
	if hasCode(err, "ResourceNotFoundException") {
		if err = createStream(ctx, d, group, stream); err == nil {
			_, err = dispatch.Run[logsapi.PutLogEventsOutput](ctx, d, "logs", "PutLogEvents", in)
		}
	}
	return err
}

// sessionOf is the principal of a session of role that a service of this process acts in. It begins with each call, so that
// who revokes the sessions that a role has ends none of what comes later.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html
func sessionOf(role *policy.Role, name string) call.Principal {
	return call.Principal{
		Type: call.AssumedRole, Account: role.Account, Name: role.Name, ID: role.ID + ":" + name,
		ARN:     fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", role.Account, role.Name, name),
		Session: &call.Session{RoleARN: role.ARN, Name: name, IssuedAt: time.Now()},
	}
}

// createStream makes a stream, and its group if need be. Another one may do so at the same time.
func createStream(ctx context.Context, d *dispatch.Dispatcher, group, stream string) error {
	create := func() error {
		_, err := dispatch.Run[logsapi.CreateLogStreamOutput](ctx, d, "logs", "CreateLogStream",
			&logsapi.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream})
		return err
	}
	err := create()
	if hasCode(err, "ResourceNotFoundException") {
		_, err = dispatch.Run[logsapi.CreateLogGroupOutput](ctx, d, "logs", "CreateLogGroup",
			&logsapi.CreateLogGroupInput{LogGroupName: &group})
		if err == nil || hasCode(err, "ResourceAlreadyExistsException") {
			err = create()
		}
	}
	if hasCode(err, "ResourceAlreadyExistsException") {
		return nil
	}
	return err
}

// gateway leads functions to the server.
type gateway struct{ net *sandboxnet.Server }

func (g gateway) Attach(s environment.Sockets, id environment.Identity) (detach func()) {
	return g.net.Attach(sandboxnet.Sockets(s), sandboxnet.Identity(id))
}

// notForFunctions keeps what is the operator's alone from functions.
func notForFunctions(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_brume/") {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sandboxLoopback is where AWS's names lead inside a sandbox.
var sandboxLoopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// hostBundles are where systems keep the certificate authorities that they trust.
// https://go.dev/src/crypto/x509/root_linux.go
var hostBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
}

// writeBundles writes the certificate files that functions see: all that they trust, and Brume's own alone.
func writeBundles(dir string, ca *sandboxnet.CA) (bundle, own string, err error) {
	var host []byte
	for _, file := range hostBundles {
		if host, err = os.ReadFile(file); err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", "", err
		}
	}
	bundle, own = filepath.Join(dir, "ca-bundle.pem"), filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(bundle, ca.Bundle(host), 0o644); err != nil {
		return "", "", err
	}
	return bundle, own, os.WriteFile(own, ca.Certificate(), 0o644)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"brume/test/story"
)

const (
	manyFunctions = 1000
	manyAtOnce    = 100
)

// many shows that functions which are defined cost nothing: what a server needs to start, and then while it does nothing,
// with a thousand of them and without any. Then a hundred of them are invoked for the first time, all at once.
func (b *bench) many(ctx context.Context, brume, dir string) error {
	without, err := measureIdle(ctx, brume, func(int) string { return filepath.Join(dir, "none") })
	if err != nil {
		return err
	}
	if err := b.start(ctx, brume, filepath.Join(dir, "many")); err != nil {
		return err
	}
	runtimes, err := story.Runtimes(ctx, brume)
	if err == nil && len(runtimes) > 0 {
		err = b.define(ctx, runtimes[0].Name)
	}
	if err := errors.Join(err, b.server.Stop()); err != nil || len(runtimes) == 0 {
		return err
	}
	with, err := measureIdle(ctx, brume, func(int) string { return filepath.Join(dir, "many") })
	if err != nil {
		return err
	}
	fmt.Printf("start with 1,000 functions          %6.1f ms (best of %d), without %.1f ms\n", with.start.Seconds()*1e3, idleStarts, without.start.Seconds()*1e3)
	fmt.Printf("idle RSS with 1,000 functions       %6.1f MiB, without %.1f MiB\n", float64(with.rss)/(1<<20), float64(without.rss)/(1<<20))
	if err := b.server.Start(ctx); err != nil {
		return err
	}
	b.endWith(ctx)
	err = b.atOnce(ctx)
	began := time.Now()
	if err := errors.Join(err, b.server.Stop()); err != nil {
		return err
	}
	fmt.Printf("stop with %d environments          %6.1f ms\n", manyAtOnce, time.Since(began).Seconds()*1e3)
	return nil
}

// define makes the functions.
func (b *bench) define(ctx context.Context, runtime string) error {
	role, err := iam.NewFromConfig(b.cfg).CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("bench-many"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
			`"Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	if err != nil {
		return err
	}
	client := lambda.NewFromConfig(b.cfg)
	s := source[strings.TrimRight(runtime, "0123456789.x")]
	return together(b.workers, func(worker int) error {
		for i := worker; i < manyFunctions; i += b.workers {
			code, err := coldKind{file: s.file, content: []byte(s.source)}.archive(i)
			if err != nil {
				return err
			}
			if _, err := client.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: aws.String(fmt.Sprint("many-", i)),
				Role: role.Role.Arn, Runtime: lambdatypes.Runtime(runtime), Handler: &s.handler, Timeout: aws.Int32(60),
				Code: &lambdatypes.FunctionCode{ZipFile: code}}); err != nil {
				return err
			}
		}
		return nil
	})
}

// atOnce invokes a hundred of the functions, and all have to answer.
func (b *bench) atOnce(ctx context.Context) error {
	client := lambda.NewFromConfig(b.cfg)
	times := make([]time.Duration, manyAtOnce)
	began := time.Now()
	if err := together(manyAtOnce, func(i int) error {
		out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(fmt.Sprint("many-", i)), Payload: []byte(`{}`)})
		if err == nil && out.FunctionError != nil {
			err = errors.New(string(out.Payload))
		}
		times[i] = time.Since(began)
		return err
	}); err != nil {
		return err
	}
	fmt.Printf("%d of them invoked at once         %6.1f s until all have answered, half after %.1f s\n", manyAtOnce,
		quantile(times, 0.999).Seconds(), quantile(times, 0.5).Seconds())
	return nil
}

// together runs n calls at once.
func together(n int, call func(i int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- call(i) }()
	}
	var err error
	for range n {
		err = errors.Join(err, <-errs)
	}
	return err
}

package main

import (
	"context"
	"fmt"

	"brume/internal/app"
)

type adminCmd struct {
	RotateRoot rotateRootCmd `cmd:"" help:"Give root a new access key in the place of the one that clients on this machine use."`
	ResetRoot  resetRootCmd  `cmd:"" help:"Take every access key and session from root, and give it one new key: when a key leaked or was lost."`
}

type adminOptions struct {
	dataDir
	AccountID string `name:"account-id" default:"${account_id}" placeholder:"ID" env:"BRUME_ACCOUNT_ID" help:"The default account of a stopped server whose client.json is lost (${default})."`
}

func (o *adminOptions) run(ctx context.Context, order app.Order) error {
	key, err := app.RunAdmin(ctx, order, o.DataDir, o.AccountID)
	if err != nil {
		return err
	}
	fmt.Printf("The root of account %s has a new access key, shown here and kept for `brume env`:\n\n", key.Account)
	fmt.Printf("    AWS_ACCESS_KEY_ID=%s\n    AWS_SECRET_ACCESS_KEY=%s\n\n", key.AccessKeyID, key.SecretAccessKey)
	switch {
	case order == app.ResetRoot:
		fmt.Println("All its other keys are deleted and all its sessions are over.")
	case key.Replaced != "":
		fmt.Printf("The key %s is deleted. Other keys and sessions of root go on.\n", key.Replaced)
	}
	fmt.Println("Shells that hold an old key need eval \"$(brume env)\" again.")
	return nil
}

type rotateRootCmd struct{ adminOptions }

func (c *rotateRootCmd) Run(ctx context.Context) error { return c.run(ctx, app.RotateRoot) }

// Help is shown below the command's usage.
func (rotateRootCmd) Help() string {
	return "Works while the server runs, which then refuses the old key from the next call on, and while it is stopped. " +
		"It needs no credentials: whoever may use the data directory may do it. Users and roles keep their keys; those are " +
		"rotated by the IAM API (aws iam create-access-key, update-access-key, delete-access-key)."
}

type resetRootCmd struct{ adminOptions }

func (c *resetRootCmd) Run(ctx context.Context) error { return c.run(ctx, app.ResetRoot) }

// Help is shown below the command's usage.
func (resetRootCmd) Help() string {
	return "Use it when a root key got into wrong hands, or when none is left. Unlike rotate-root it also deletes root's other " +
		"access key and ends the sessions that root's keys have issued (GetSessionToken, GetFederationToken). Works while the " +
		"server runs and while it is stopped. Look through the users, roles and access keys afterwards: who had root may have made some."
}

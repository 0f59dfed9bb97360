package commands

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/models"
	"multitenant/tenants"
)

type usersCreateCommand struct {
	realmFlag `embed:""`

	Email         string  `arg:"" placeholder:"EMAIL" help:"The user's e-mail address."`
	FullName      *string `placeholder:"NAME" help:"The user's name."`
	Role          *string `placeholder:"ROLE" enum:"owner,admin,member" help:"In a tenant: owner, admin or member; member if it is not given."`
	PasswordStdin bool    `help:"Read the password from stdin, one line, instead of making a token."`
	JSON          bool    `name:"json" help:"Write the token as JSON."`
}

// Help describes the command.
func (usersCreateCommand) Help() string {
	return "A token is written to stdout, once, by which the user chooses a password: see users reset-password. " +
		"With --password-stdin the user has that password, and nothing is written to stdout. " +
		"The command works whatever CORE_REGISTRATION and an organization's registration say."
}

// Validate is called by kong.
func (c *usersCreateCommand) Validate() error {
	switch {
	case c.Role != nil && c.Tenant == nil:
		return errors.New("--role needs --tenant: users of the core have no role")
	case c.JSON && c.PasswordStdin:
		return errors.New("--json is for the token, and with --password-stdin there is none")
	}
	return nil
}

// Run creates the user.
func (c *usersCreateCommand) Run(ctx context.Context, inv *Invocation) error {
	password, err := c.password(inv)
	if err != nil {
		return err
	}
	return withInstallation(ctx, inv, func(in *installation, m *tenants.Manager) error {
		account, err := c.account(ctx, in, password)
		if err != nil {
			return err
		}
		if err := c.create(ctx, m, &account); err != nil {
			return fmt.Errorf("%s: %w", account.Email, err)
		}
		say(inv.Stderr, fmt.Sprintf("user %s is created", account.Email))
		if c.PasswordStdin {
			return nil
		}
		reset := usersResetPasswordCommand{realmFlag: c.realmFlag, Email: account.Email, JSON: c.JSON}
		return reset.issue(ctx, inv, m)
	})
}

// password reads the password, or makes one that nobody knows.
func (c *usersCreateCommand) password(inv *Invocation) (string, error) {
	if !c.PasswordStdin {
		return rand.Text(), nil
	}
	line, err := bufio.NewReader(inv.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// account checks the user's fields, as a registration does, and hashes the password.
func (c *usersCreateCommand) account(ctx context.Context, in *installation, password string) (account models.Account, err error) {
	owner := models.PasswordOwner{Email: models.TrimEmail(c.Email), FullName: c.FullName}
	if c.Tenant != nil {
		owner.Tenant = models.Slug(*c.Tenant)
	}
	var checks models.Checks
	checks.Email("address", &c.Email)
	checks.Text("--full-name", c.FullName, models.MaxNameLength)
	in.config.PasswordRules.Check(&checks, "password", &password, owner)
	if wrong, ok := errors.AsType[*models.Error](checks.Err()); ok {
		return account, fmt.Errorf("the %s %s", strings.TrimPrefix(wrong.Fields[0].Field, "--"), wrong.Fields[0].Message)
	}
	passwords, err := auth.NewPasswords(in.config.Passwords)
	if err != nil {
		return account, err
	}
	account = models.NewAccount(c.Email, c.FullName)
	account.HashedPassword, err = passwords.Hash(ctx, limits.Turn{}, password)
	return account, err
}

func (c *usersCreateCommand) create(ctx context.Context, m *tenants.Manager, account *models.Account) error {
	event := models.NewOperatorEvent(models.ActionUserCreated)
	return c.in(ctx, m, func() error {
		return models.AddUser(ctx, m.Core(), event, &models.CoreUser{Account: *account})
	}, func(tenant *tenants.Tenant) error {
		role := models.RoleMember
		if c.Role != nil {
			role = models.Role(*c.Role)
		}
		return tenant.Classify(models.AddUser(ctx, tenant.DB, event, &models.TenantUser{Account: *account, Role: role}))
	})
}

package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"multitenant/database"
)

// roles is the part of the engine that is about roles.
type roles struct{ *backend }

// Roles returns that part.
func (b *backend) Roles() database.Roles { return roles{b} }

// CanCreate reports whether the application's own role has CREATEROLE.
func (b roles) CanCreate() bool { return b.makesRoles.Load() }

// Refresh reads whether the application's role has CREATEROLE now.
func (b roles) Refresh(ctx context.Context) error {
	pool, err := b.core.DB()
	if err != nil {
		return err
	}
	var may bool
	err = pool.QueryRowContext(ctx, "SELECT rolcreaterole OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user").Scan(&may)
	if err != nil {
		return fmt.Errorf("look whether roles can be made: %w", err)
	}
	b.makesRoles.Store(may)
	return nil
}

// Create makes a role that may log in, and nothing else.
func (b roles) Create(tx *gorm.DB, login database.Login) error {
	if err := database.CheckName(login.Role); err != nil {
		return err
	}
	verifier, err := scramVerifier(login.Password)
	if err != nil {
		return err
	}
	exists, err := roleExists(tx, login.Role)
	if err != nil {
		return err
	}
	verb := "CREATE"
	if exists {
		verb = "ALTER"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s ROLE %s LOGIN NOINHERIT CONNECTION LIMIT %d VALID UNTIL 'infinity' PASSWORD %s",
		verb, quoteIdentifier(login.Role), b.roleConnections, quoteLiteral(verifier))
	for _, s := range roleSettings(b.limitsFiles) {
		text.WriteString("; ALTER ROLE " + quoteIdentifier(login.Role) + " SET " + s.name + " = " + s.value)
	}
	err = execIn(tx, text.String())
	if err != nil {
		return fmt.Errorf("make role %s: %w", login.Role, err)
	}
	return nil
}

// Drop removes a role. It only forbids the login of a role that foreign objects
// depend on.
func (b roles) Drop(tx *gorm.DB, role string) error {
	if err := database.CheckName(role); err != nil {
		return err
	}
	exists, err := roleExists(tx, role)
	if err != nil || !exists {
		return err
	}
	if !b.makesRoles.Load() {
		b.log.Error("role left behind: it cannot be dropped without CREATEROLE", "role", role)
		return nil
	}
	err = tx.Transaction(func(tx *gorm.DB) error { return execIn(tx, "DROP ROLE "+quoteIdentifier(role)) })
	if database.HasState(err, "2BP01") {
		detail := ""
		if server, ok := errors.AsType[*pgconn.PgError](err); ok {
			detail = server.Detail
		}
		b.log.Error("role left behind: something depends on it", "role", role, "error", err, "detail", detail)
		err = execIn(tx, "ALTER ROLE "+quoteIdentifier(role)+" NOLOGIN")
	}
	if err != nil {
		return fmt.Errorf("drop role %s: %w", role, err)
	}
	return nil
}

// Secure closes the core database to all roles but its owner and superusers, when
// the application owns it.
func (b roles) Secure(ctx context.Context) error {
	if !b.makesRoles.Load() {
		b.log.WarnContext(ctx, "the server does not keep tenants apart: all are reached by one role, since it may not make others; "+
			"ALTER ROLE … CREATEROLE, and each gets its own when it is next used")
	}
	if !b.makesRoles.Load() && b.tenants != b.server {
		b.log.WarnContext(ctx, "tenants without a role of their own are reached as core is, and not by the tenants' URL")
	}
	var open, ours bool
	pool, err := b.core.DB()
	if err != nil {
		return err
	}
	err = pool.QueryRowContext(ctx, `SELECT
			EXISTS (SELECT 1 FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0),
			pg_has_role(datdba, 'USAGE')
		FROM pg_database WHERE datname = current_database()`).Scan(&open, &ours)
	if err != nil {
		return fmt.Errorf("look who may connect to core: %w", err)
	}
	if !open {
		return nil
	}
	if !ours {
		b.log.WarnContext(ctx, "the core database is open to every role of the server: make it this application's own (ALTER DATABASE … OWNER TO)")
		return nil
	}
	if _, err := pool.ExecContext(ctx, closeStatement(b.config.Database)); err != nil {
		return fmt.Errorf("close core to others: %w", err)
	}
	return nil
}

// Admit closes a database to all roles but its owner and this one.
func (b roles) Admit(ctx context.Context, name, role string) error {
	if err := b.checkTenant(name); err != nil {
		return err
	}
	return b.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := execIn(tx, closeStatement(name)); err != nil {
			return fmt.Errorf("close database %s to others: %w", name, err)
		}
		return admit(tx, name, role)
	})
}

func admit(tx *gorm.DB, name, role string) error {
	if role == "" {
		return nil
	}
	err := execIn(tx, "GRANT CONNECT ON DATABASE "+quoteIdentifier(name)+" TO "+quoteIdentifier(role))
	if err != nil {
		return fmt.Errorf("admit role %s: %w", role, err)
	}
	return nil
}

func roleExists(db *gorm.DB, role string) (bool, error) {
	var exists bool
	err := db.Raw("SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = ?)", role).Scan(&exists).Error
	if err != nil {
		return false, fmt.Errorf("look for role %s: %w", role, err)
	}
	return exists, nil
}

// execIn runs a statement without GORM, whose log would show the whole text of a
// failed statement.
func execIn(tx *gorm.DB, statement string) error {
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, statement)
	return err
}

// scramVerifier returns the form in which PostgreSQL keeps a password (RFC 5803).
// With it the password never travels and stands in no statement that the server may
// log. One iteration is enough for a password of 256 random bits, and makes
// connecting cheap.
func scramVerifier(password string) (string, error) {
	const iterations = 1
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails, it says
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("make password verifier: %w", err)
	}
	stored := sha256.Sum256(keyedSum(salted, "Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s",
		iterations, encode(salt), encode(stored[:]), encode(keyedSum(salted, "Server Key"))), nil
}

func keyedSum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

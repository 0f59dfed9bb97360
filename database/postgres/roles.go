package postgres

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"multitenant/database"
)

// roles is the part of the engine that is about roles.
type roles struct{ *backend }

// Roles returns that part.
func (b *backend) Roles() database.Roles { return roles{b} }

// CanCreate reports whether the application's own role has CREATEROLE.
func (b roles) CanCreate() bool { return b.makesRoles }

// Create makes a role that may log in, and nothing else.
func (roles) Create(tx *gorm.DB, login database.Login) error {
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
	err = execIn(tx, verb+" ROLE "+quoteIdentifier(login.Role)+
		" LOGIN NOINHERIT CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD "+quoteLiteral(verifier))
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
	if !b.makesRoles {
		b.log.Error("role left behind: it cannot be dropped without CREATEROLE", "role", role)
		return nil
	}
	err = tx.Transaction(func(tx *gorm.DB) error { return execIn(tx, "DROP ROLE "+quoteIdentifier(role)) })
	if database.HasState(err, "2BP01") {
		b.log.Error("role left behind: something depends on it", "role", role, "error", err)
		err = execIn(tx, "ALTER ROLE "+quoteIdentifier(role)+" NOLOGIN")
	}
	if err != nil {
		return fmt.Errorf("drop role %s: %w", role, err)
	}
	return nil
}

// GrantTables lets a role change rows, and nothing about the tables.
func (b roles) GrantTables(tx *gorm.DB, role string, guarded database.Guarded) error {
	name := quoteIdentifier(role)
	statements := make([]string, 0, 4+len(guarded.ReadOnly)+len(guarded.AppendOnly))
	statements = append(statements,
		"REVOKE ALL ON SCHEMA public FROM PUBLIC",
		"GRANT USAGE ON SCHEMA public TO "+name,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "+name,
		"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO "+name,
	)
	for _, table := range guarded.ReadOnly {
		statements = append(statements, "REVOKE INSERT, UPDATE, DELETE ON "+quoteIdentifier(table)+" FROM "+name)
	}
	for _, table := range guarded.AppendOnly {
		statements = append(statements, "REVOKE UPDATE, DELETE ON "+quoteIdentifier(table)+" FROM "+name)
	}
	for _, statement := range statements {
		if err := execIn(tx, statement); err != nil {
			return fmt.Errorf("grant tables to %s: %w", role, err)
		}
	}
	return b.warnOfOpenSchema(tx, role)
}

// warnOfOpenSchema warns once when a role may make tables. Before PostgreSQL 15 the
// administrator owns the schema public, and only the owner can revoke that.
func (b roles) warnOfOpenSchema(tx *gorm.DB, role string) error {
	var open bool
	err := tx.Raw("SELECT has_schema_privilege(?, 'public', 'CREATE')", role).Scan(&open).Error
	if err != nil {
		return fmt.Errorf("look what %s may do: %w", role, err)
	}
	if open {
		b.openSchema.Do(func() {
			b.log.Warn("tenants' roles may make tables in their own databases: before PostgreSQL 15 only " +
				"the server's administrator can keep them from it, as docs/postgresql.md says")
		})
	}
	return nil
}

// Secure closes the core database to all roles but its owner and superusers, when
// the application owns it.
func (b roles) Secure(ctx context.Context) error {
	if !b.makesRoles {
		b.log.WarnContext(ctx, "the server does not keep tenants apart: all are reached by one role, since it may not make others; "+
			"ALTER ROLE … CREATEROLE, and each gets its own when it is next used")
	}
	if !b.makesRoles && b.tenants != b.config {
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

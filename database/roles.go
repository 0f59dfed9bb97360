package database

import (
	"context"

	"gorm.io/gorm"
)

// Roles is the part of an engine whose server has roles: each tenant can have a role
// of its own, which the server keeps out of all other databases.
type Roles interface {
	// CanCreate reports whether the application's own role may create other roles.
	CanCreate() bool
	// Refresh asks the server again whether it may.
	Refresh(ctx context.Context) error
	// Create makes a role in a transaction of the core database. It may log in and do
	// nothing else. An existing role gets the password of login.
	Create(tx *gorm.DB, login Login) error
	// Drop removes a role in a transaction of the core database, once its databases
	// are gone. A missing role is no error.
	Drop(tx *gorm.DB, role string) error
	// GrantTables lets role read and change the rows of our tables in a tenant's
	// database, except as guarded says. tx is a transaction of that database.
	GrantTables(tx *gorm.DB, role string, guarded Guarded) error
	// Admit lets role, if it is not empty, and the owner connect to a database, and
	// no other role. The caller must hold the lock of its tenant.
	Admit(ctx context.Context, name, role string) error
	// Secure keeps all other roles of the server out of the core database. It warns
	// when the server cannot keep tenants apart.
	Secure(ctx context.Context) error
	// Survey returns the rights on the core database and on databases whose name
	// begins with prefix, the powers of roles whose name does, and the faults of both.
	Survey(ctx context.Context, prefix string) (Survey, error)
	// Inspect returns the faults inside an open database that is served as role, or as
	// the application's own role if it is empty. tables are those that should be there.
	Inspect(ctx context.Context, db *gorm.DB, role string, tables []string) ([]Fault, error)
	// Repair runs the statements of a fault in one transaction of db, also if the
	// database is read-only by default. An error of check, which may be nil, undoes them.
	Repair(ctx context.Context, db *gorm.DB, statements []string, check Check) error
	// Lacking lists the tables and sequences of a tenant's database for which role
	// lacks a privilege that GrantTables gives.
	Lacking(ctx context.Context, db *gorm.DB, role string, guarded Guarded) ([]string, error)
	// MayMake reports whether role, if it exists, may make tables and functions in schema
	// public of an open database.
	MayMake(ctx context.Context, db *gorm.DB, role string) (bool, error)
	// ListForeign describes what roles other than the application's own have made
	// beside our tables in a tenant's database.
	ListForeign(ctx context.Context, db *gorm.DB, tables []string) ([]string, error)
}

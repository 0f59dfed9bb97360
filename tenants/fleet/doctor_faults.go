package fleet

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
	"multitenant/tenants"
)

// coreName stands for the core database where the survey does not name it.
const coreName = "core"

// examineCore finds the faults of the server and of the core database.
func (x *examination) examineCore(ctx context.Context) error {
	core := x.databases.Core
	repair := func(statements []string) func(context.Context) error {
		return func(ctx context.Context) error { return x.fleet.mend(ctx, core, statements, nil) }
	}
	inside, err := x.fleet.inspect(ctx, core, "", tenants.CoreTables())
	if err != nil {
		return err
	}
	faults := slices.Concat(x.survey.FaultsOf(""), x.survey.FaultsOf(x.survey.Core, x.survey.App), inside)
	for _, found := range gather(faults, repair) {
		found.Name = cmp.Or(x.survey.Core, coreName)
		x.add(&found)
	}
	return nil
}

// examineServer finds the faults of a tenant's database and role that the server's
// catalogs show. Those of the application's role are core's.
func (x *examination) examineServer(record *models.Tenant) {
	x.findFaults(record, x.serverFaults(record), func(statements []string) func(context.Context) error {
		return func(ctx context.Context) error {
			return x.fleet.underLock(ctx, record.ID, func(ctx context.Context, now *models.Tenant) error {
				if now.DatabaseName != record.DatabaseName { // it was claimed meanwhile
					return nil
				}
				return x.fleet.mend(ctx, x.databases.Core, statements, nil)
			})
		}
	})
}

func (x *examination) serverFaults(record *models.Tenant) []database.Fault {
	faults := x.survey.FaultsOf(record.DatabaseName, record.Role, x.survey.App)
	return slices.DeleteFunc(faults, func(f database.Fault) bool { return f.Database == "" && f.Role == x.survey.App })
}

// examineFaults finds the faults inside the open database of a tenant.
func (x *examination) examineFaults(ctx context.Context, record *models.Tenant, db *gorm.DB) error {
	if record.SchemaVersion < x.databases.Version {
		return nil
	}
	faults, err := x.fleet.inspect(ctx, db, record.Role, tenants.TenantTables())
	if err != nil {
		return err
	}
	x.findFaults(record, faults, func(statements []string) func(context.Context) error {
		return func(ctx context.Context) error { return x.fleet.repairInside(ctx, record.ID, statements) }
	})
	return nil
}

func (x *examination) findFaults(
	record *models.Tenant, faults []database.Fault, repair func(statements []string) func(context.Context) error,
) {
	for _, found := range gather(faults, repair) {
		x.find(record, found.Kind, found.Problem, found.repair)
	}
}

// gather makes one finding of all faults of a kind. It can be repaired if one of them can.
func gather(faults []database.Fault, repair func(statements []string) func(context.Context) error) []Finding {
	var kinds []database.FaultKind
	for i := range faults {
		if !slices.Contains(kinds, faults[i].Kind) {
			kinds = append(kinds, faults[i].Kind)
		}
	}
	found := make([]Finding, 0, len(kinds))
	for _, kind := range kinds {
		var problems, statements []string
		for i := range faults {
			if faults[i].Kind == kind {
				problems, statements = append(problems, faults[i].Problem), append(statements, faults[i].Repair...)
			}
		}
		finding := Finding{Kind: string(kind), Problem: strings.Join(problems, "; ")}
		if len(statements) > 0 {
			finding.repair = repair(statements)
		}
		found = append(found, finding)
	}
	return found
}

// isExplained looks into a database that the tenant's role was refused, or where it did
// not find the stamp, and reports whether a fault that was found is the reason.
func (x *examination) isExplained(ctx context.Context, record *models.Tenant, refusal error) (bool, error) {
	if x.databases.Roles == nil || !errors.Is(refusal, database.ErrForeign) {
		return x.hasFoundKind(record, database.FaultClosed, database.FaultOwner), nil
	}
	db, err := x.databases.Backend.OpenDatabase(ctx, record.DatabaseName, nil)
	if err != nil {
		return false, nil //nolint:nilerr // the refusal is reported
	}
	err = errors.Join(x.examineFaults(ctx, record, db), database.Close(db))
	return x.hasFoundKind(record, database.FaultRowSecurity, database.FaultSearchPath), err
}

func (x *examination) hasFoundKind(record *models.Tenant, kinds ...database.FaultKind) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.ContainsFunc(x.findings, func(f Finding) bool {
		return f.tenantID == record.ID && slices.Contains(kinds, database.FaultKind(f.Kind))
	})
}

// repairInside runs statements in a tenant's database. They are undone if it does not
// have the tenant's stamp, which a fault may have hidden until then.
func (f *Fleet) repairInside(ctx context.Context, id string, statements []string) error {
	return f.underLock(ctx, id, func(ctx context.Context, record *models.Tenant) error {
		db, err := f.databases.Backend.OpenDatabase(ctx, record.DatabaseName, nil)
		if err != nil {
			return err
		}
		err = f.mend(ctx, db, statements, f.databases.StampedWith(record.ID))
		return errors.Join(err, database.Close(db))
	})
}

// inspect returns the faults inside an open database that is served as role.
func (f *Fleet) inspect(ctx context.Context, db *gorm.DB, role string, tables []string) ([]database.Fault, error) {
	triggers, err := migrations.InspectAudit(ctx, db)
	if err != nil {
		return nil, err
	}
	faults := make([]database.Fault, 0, len(triggers))
	for _, trigger := range triggers {
		faults = append(faults, database.Fault{Kind: database.FaultTrigger, Problem: trigger.Problem, Repair: trigger.Repair})
	}
	if f.databases.Roles == nil {
		return faults, nil
	}
	more, err := f.databases.Roles.Inspect(ctx, db, role, tables)
	return append(faults, more...), err
}

// mend runs the statements of faults in one transaction. An error of check, which may be
// nil, undoes them.
func (f *Fleet) mend(ctx context.Context, db *gorm.DB, statements []string, check database.Check) error {
	if f.databases.Roles != nil {
		return f.databases.Roles.Repair(ctx, db, statements, check)
	}
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for _, statement := range statements {
			if err := tx.Exec(statement).Error; err != nil {
				return err
			}
		}
		if check == nil {
			return nil
		}
		return check(ctx, tx.Statement.ConnPool)
	})
}

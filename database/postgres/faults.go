package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"multitenant/database"
)

const (
	readOnlySetting   = "default_transaction_read_only"
	searchPathSetting = "search_path"
	triggersSetting   = "session_replication_role"
)

// settings finds settings of roles and databases that the application cannot work with.
func (b roles) settings(ctx context.Context, prefix string) (faults []database.Fault, err error) {
	err = b.eachRow(ctx, `
		SELECT coalesce(d.datname, ''), coalesce(r.rolname, ''), coalesce(d.datdba IS NULL OR pg_catalog.pg_has_role(d.datdba, 'USAGE'), true),
			pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
		FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) c
		LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
		WHERE d.oid IS NULL OR pg_catalog.starts_with(d.datname, $1) OR d.datname = pg_catalog.current_database()
		ORDER BY 1, 2, 4`, prefix, func(rows *sql.Rows) error {
		var fault database.Fault
		var name, value string
		var isOurs bool
		if err := rows.Scan(&fault.Database, &fault.Role, &isOurs, &name, &value); err != nil {
			return err
		}
		switch {
		case name == readOnlySetting && value != "off":
			fault.Kind = database.FaultReadOnly
		case name == searchPathSetting && isWrongPath(value):
			fault.Kind = database.FaultSearchPath
		case name == triggersSetting && value == "replica": // no trigger fires then
			fault.Kind = database.FaultTrigger
		default:
			return nil
		}
		owner := ownerOf(&fault)
		fault.Problem = fmt.Sprintf("%s has the setting %s = %s", strings.ReplaceAll(owner, `"`, ""), name, value)
		isOurs = isOurs && (b.isSuperuser || name != triggersSetting)
		if isOurs && (fault.Role == b.config.User || fault.Role != "" && b.makesRoles.Load() || fault.Role == "" && fault.Database != "") {
			fault.Repair = []string{"ALTER " + owner + " RESET " + name}
		}
		faults = append(faults, fault)
		return nil
	})
	return faults, err
}

// ownerOf names the owner of a setting in the words of ALTER.
func ownerOf(fault *database.Fault) string {
	switch {
	case fault.Role == "" && fault.Database == "":
		return "ROLE ALL"
	case fault.Role == "":
		return "DATABASE " + quoteIdentifier(fault.Database)
	case fault.Database == "":
		return "ROLE " + quoteIdentifier(fault.Role)
	}
	return "ROLE " + quoteIdentifier(fault.Role) + " IN DATABASE " + quoteIdentifier(fault.Database)
}

// isWrongPath reports whether a search path does not begin with our schema. The schemas
// $user, which no role of ours has, and pg_catalog do not count.
func isWrongPath(path string) bool {
	for entry := range strings.SplitSeq(path, ",") {
		switch strings.Trim(strings.TrimSpace(entry), `"`) {
		case "$user", "pg_catalog":
			continue
		case "public":
			return false
		}
		return true
	}
	return true
}

// keptShut finds databases that take no connections, and those of another owner. The
// administrator may own core, as long as this role is a member of the owner.
func (b roles) keptShut(ctx context.Context, prefix string) (faults []database.Fault, err error) {
	err = b.eachRow(ctx, `
		SELECT d.datname, o.rolname, d.datconnlimit = 0, NOT d.datallowconn,
			pg_catalog.pg_has_role(d.datdba, 'MEMBER'), pg_catalog.pg_has_role(d.datdba, 'USAGE')
		FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles o ON o.oid = d.datdba
		WHERE pg_catalog.starts_with(d.datname, $1) OR d.datname = pg_catalog.current_database()
		ORDER BY 1`, prefix, func(rows *sql.Rows) error {
		var name, owner string
		var isFull, isShut, isMember, isOurs bool
		if err := rows.Scan(&name, &owner, &isFull, &isShut, &isMember, &isOurs); err != nil {
			return err
		}
		if isFull || isShut {
			fault := database.Fault{Kind: database.FaultClosed, Database: name, Problem: "its CONNECTION LIMIT is 0, or it does not ALLOW_CONNECTIONS"}
			fault.Repair = when(isOurs, "ALTER DATABASE "+quoteIdentifier(name)+" CONNECTION LIMIT -1 ALLOW_CONNECTIONS true")
			faults = append(faults, fault)
		}
		if !isOurs || name != b.config.Database && owner != b.config.User && !b.isSuperuser {
			fault := database.Fault{Kind: database.FaultOwner, Database: name, Problem: b.belongsTo("the database", owner)}
			fault.Repair = when(isMember, "ALTER DATABASE "+quoteIdentifier(name)+" OWNER TO CURRENT_USER")
			faults = append(faults, fault)
		}
		return nil
	})
	return faults, err
}

// belongsTo says that something has another owner.
func (b roles) belongsTo(what, owner string) string {
	return fmt.Sprintf("%s belongs to the role %s and not to %s", what, owner, b.config.User)
}

// when returns the statement if it may be run, and nothing otherwise.
func when(may bool, statement string) []string {
	if !may {
		return nil
	}
	return []string{statement}
}

// readOnlyServer finds that the whole server takes no writes.
func (b roles) readOnlyServer(ctx context.Context, _ string) ([]database.Fault, error) {
	var isStandby bool
	var value, source string
	pool, err := b.core.DB()
	if err != nil {
		return nil, err
	}
	err = pool.QueryRowContext(ctx, `SELECT pg_catalog.pg_is_in_recovery(), setting, source
		FROM pg_catalog.pg_settings WHERE name = $1`, readOnlySetting).Scan(&isStandby, &value, &source)
	if err != nil {
		return nil, err
	}
	fault := database.Fault{Kind: database.FaultReadOnly}
	switch {
	case isStandby:
		fault.Problem = "the server is a standby, which is read-only"
	case value == "on" && !strings.HasSuffix(source, "database") && !strings.HasSuffix(source, "user"):
		fault.Problem = "the server has the setting " + readOnlySetting + " = on, from: " + source
	default:
		return nil, nil
	}
	return []database.Fault{fault}, nil
}

// Repair runs the statements, and waits for no lock for long.
func (roles) Repair(ctx context.Context, db *gorm.DB, statements []string, check database.Check) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for _, statement := range append([]string{"SET TRANSACTION READ WRITE", "SET LOCAL lock_timeout = '5s'"}, statements...) {
			if err := execIn(tx, statement); err != nil {
				return err
			}
		}
		if check == nil {
			return nil
		}
		return check(ctx, tx.Statement.ConnPool)
	})
}

package commands

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"multitenant/models"
	"multitenant/tenants/fleet"
)

const tabWidth = 2

// writeJSON writes one value, for programs.
func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// newTable lines columns up, which are separated by tabs; Flush writes it.
func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, tabWidth, ' ', 0)
}

// orNone makes the absence of a version visible.
func orNone(version string) string {
	if version == "" {
		return "none"
	}
	return version
}

func countTenants(n int) string {
	if n == 1 {
		return "1 tenant"
	}
	return fmt.Sprintf("%d tenants", n)
}

// tenantView is a tenant as programs see it.
type tenantView struct {
	ID            string              `json:"id"`
	Slug          *string             `json:"slug"` // null for one that has none
	DatabaseName  string              `json:"database_name"`
	Status        models.TenantStatus `json:"status"`
	SchemaVersion string              `json:"schema_version"`
	Error         string              `json:"error"`
	BackupDue     bool                `json:"backup_due"` // it is deleted, and waits for its last backup
	CreatedAt     time.Time           `json:"created_at"`
	UpdatedAt     time.Time           `json:"updated_at"`
}

func newTenantView(record *models.Tenant) tenantView {
	view := tenantView{
		ID:            record.ID,
		DatabaseName:  record.DatabaseName,
		Status:        record.Status,
		SchemaVersion: record.SchemaVersion,
		Error:         record.Error,
		BackupDue:     record.BackupDue,
		CreatedAt:     record.CreatedAt.UTC(),
		UpdatedAt:     record.UpdatedAt.UTC(),
	}
	if record.Slug != "" {
		slug := string(record.Slug)
		view.Slug = &slug
	}
	return view
}

func (v *tenantView) name() string {
	if v.Slug == nil {
		return v.DatabaseName
	}
	return *v.Slug
}

// state is the status as people see it.
func (v *tenantView) state() string {
	if v.BackupDue {
		return string(v.Status) + ", last backup due"
	}
	return string(v.Status)
}

// coreView is what is or would be done to core's schema.
type coreView struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// moveView is what is or would be done to a tenant's.
type moveView struct {
	Tenant       string `json:"tenant"`
	DatabaseName string `json:"database_name"`
	From         string `json:"from"`
	To           string `json:"to"`
	Error        string `json:"error,omitempty"`
}

func newMoveView(move fleet.Move, reason error) moveView {
	view := moveView{Tenant: move.Tenant, DatabaseName: move.Database, From: move.From, To: move.To}
	if reason != nil {
		view.Error = oneLine(reason.Error())
	}
	return view
}

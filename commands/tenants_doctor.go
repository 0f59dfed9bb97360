package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"multitenant/backups"
	"multitenant/backups/store"
	"multitenant/models"
	"multitenant/tenants/fleet"
)

type tenantsDoctorCommand struct {
	fleetFlags `embed:""`

	Repair bool `help:"Mend what can be mended without losing anything."`
	JSON   bool `name:"json" help:"Write an array of JSON."`
}

// Help describes the command.
func (tenantsDoctorCommand) Help() string {
	return "Compares the registry in core with the databases, roles and files there are, opens each tenant's database once, " +
		"and says what is wrong, a finding a line. With --repair it finishes what was left unfinished, migrates, gives " +
		"tenants their roles again, closes what is open to others, and removes what is provably its own and unused; all " +
		"else is left to you. A note is said and is no fault. It works beside servers that run. The exit code is 1 while anything is wrong."
}

type findingView struct {
	Kind       string  `json:"kind"`
	Tenant     *string `json:"tenant"` // null where it is about none
	Name       string  `json:"name"`
	Problem    string  `json:"problem"`
	Repairable bool    `json:"repairable"`
	Repaired   bool    `json:"repaired"`

	isNote bool
}

// Run examines, and repairs if --repair is given.
func (c *tenantsDoctorCommand) Run(ctx context.Context, inv *Invocation) error {
	plan, err := c.plan()
	if err != nil {
		return err
	}
	return withInstalledFleet(ctx, inv, true, func(in *installation, all *fleet.Fleet) error {
		findings, err := c.examine(ctx, inv, all, plan)
		if err != nil {
			return c.named(err)
		}
		var repaired []fleet.Finding
		if c.Repair {
			if repaired, findings, err = c.repair(ctx, inv, all, plan, findings); err != nil {
				return c.named(err)
			}
		}
		notes, err := in.noteBackups(ctx, plan.Slug)
		if err != nil {
			say(inv.Stderr, "backups cannot be read: "+oneLine(err.Error()))
		}
		return c.conclude(inv, repaired, findings, notes)
	})
}

// noteBackups notes the tenants that have no good backup, and those whose newest is not
// proven. slug names the only tenant to look at; empty means all.
func (in *installation) noteBackups(ctx context.Context, slug models.Slug) (notes []findingView, err error) {
	settings, core := &in.config.Backups, in.backend.Core()
	if settings.Place.IsNone() {
		return nil, nil
	}
	kept, err := openStore(settings, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	own, err := models.FindInstallation(ctx, core)
	if err != nil {
		return nil, err
	}
	chosen := models.Selection{Claimed: true, Fleet: true, Brief: true}
	if slug != "" {
		record, err := models.FindTenantBySlug(ctx, core, slug)
		if err != nil {
			return nil, err
		}
		chosen.ID = record.ID
	}
	shelves, err := shelvesOf(ctx, kept, own.ID, chosen.ID)
	if err != nil {
		return nil, err
	}
	err = models.EachTenant(ctx, core, chosen, func(record *models.Tenant) error {
		if note := noteBackup(record, shelves[record.ID]); note != nil {
			notes = append(notes, *note)
		}
		return ctx.Err()
	})
	return notes, err
}

// shelvesOf lists all backups of an installation, or only those of the tenant with that id.
func shelvesOf(ctx context.Context, kept store.Store, installation, tenantID string) (map[string]*backups.Shelf, error) {
	if tenantID == "" {
		return backups.FindShelves(ctx, kept, installation)
	}
	shelf, err := backups.FindShelf(ctx, kept, installation, tenantID)
	return map[string]*backups.Shelf{tenantID: shelf}, err
}

// noteBackup returns nil where the newest good backup of a tenant is proven.
func noteBackup(record *models.Tenant, shelf *backups.Shelf) *findingView {
	slug := string(record.Slug)
	note := &findingView{Tenant: &slug, Name: record.DatabaseName, isNote: true}
	switch good, proven := shelf.Newest(time.Now()); {
	case good.IsZero():
		note.Kind, note.Problem = "backup_missing", "it has no good backup"
	case proven.Before(good):
		note.Kind, note.Problem = "backup_unproven", "its newest good backup, of "+good.Format(time.RFC3339)+", is not proven"
	default:
		return nil
	}
	return note
}

// examine examines and shows how far it is.
func (*tenantsDoctorCommand) examine(
	ctx context.Context, inv *Invocation, all *fleet.Fleet, plan fleet.Plan,
) ([]fleet.Finding, error) {
	bar := startProgress(inv, "examining")
	defer bar.finish()
	return all.Examine(ctx, plan, bar.update)
}

// repair repairs what it can and examines again. What is gone then counts as repaired,
// unless its repair failed: another process may only hide it for the moment.
func (c *tenantsDoctorCommand) repair(
	ctx context.Context, inv *Invocation, all *fleet.Fleet, plan fleet.Plan, findings []fleet.Finding,
) (repaired, left []fleet.Finding, err error) {
	tried, failed := false, make([]bool, len(findings))
	for i := range findings {
		finding := &findings[i]
		if !finding.CanRepair() || ctx.Err() != nil {
			continue
		}
		tried = true
		if err := finding.Repair(ctx); err != nil {
			failed[i] = true
			say(inv.Stderr, fmt.Sprintf("%s: repairing failed: %s", finding.Name, oneLine(err.Error())))
		}
	}
	if !tried {
		return nil, findings, nil
	}
	if left, err = c.examine(ctx, inv, all, plan); err != nil {
		return nil, nil, err
	}
	for i := range findings {
		isFound := slices.ContainsFunc(left, func(other fleet.Finding) bool { return findings[i].IsSame(&other) })
		switch {
		case isFound: // it is left
		case failed[i]:
			left = append(left, findings[i])
		default:
			repaired = append(repaired, findings[i])
		}
	}
	return repaired, left, nil
}

func (c *tenantsDoctorCommand) conclude(inv *Invocation, repaired, left []fleet.Finding, notes []findingView) error {
	views := make([]findingView, 0, len(repaired)+len(left)+len(notes))
	repairable, wrong := 0, 0
	for i := range repaired {
		views = append(views, newFindingView(&repaired[i], true))
	}
	for i := range left {
		views = append(views, newFindingView(&left[i], false))
		if left[i].CanRepair() {
			repairable++
		}
		if !left[i].IsNote() {
			wrong++
		}
	}
	views = append(views, notes...)
	if err := c.show(inv, views); err != nil {
		return err
	}
	switch {
	case wrong == 0:
		return nil
	case c.Repair:
		return fmt.Errorf("%d repaired, %d left", len(repaired), wrong)
	}
	return fmt.Errorf("%d found, of which --repair mends %d", wrong, repairable)
}

func newFindingView(finding *fleet.Finding, repaired bool) findingView {
	view := findingView{
		Kind:       finding.Kind,
		Name:       finding.Name,
		Problem:    oneLine(finding.Problem),
		Repairable: finding.CanRepair(),
		Repaired:   repaired,
		isNote:     finding.IsNote(),
	}
	if finding.Tenant != "" {
		view.Tenant = &finding.Tenant
	}
	return view
}

func (c *tenantsDoctorCommand) show(inv *Invocation, views []findingView) error {
	if c.JSON {
		return writeJSON(inv.Stdout, views)
	}
	if len(views) == 0 {
		say(inv.Stdout, "nothing is wrong")
		return nil
	}
	table := newTable(inv.Stdout).withStatus(inv, 2)
	for _, view := range views {
		subject := view.Name
		if view.Tenant != nil {
			subject = *view.Tenant
		}
		say(table, fmt.Sprintf("%s\t%s\t%s\t%s", view.Kind, subject, view.state(), view.Problem))
	}
	return wrapOutput(table.Flush())
}

func (v *findingView) state() string {
	switch {
	case v.Repaired:
		return "repaired"
	case v.Repairable:
		return "repairable"
	case v.isNote:
		return "noted"
	}
	return "to be decided"
}

package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"multitenant/database"
	"multitenant/models"
)

// maxNamed is how many tenants a failed trial names.
const maxNamed = 5

// tryFleet checks all tenants in the catalogs of the server and of their databases. It
// repeats a failed check, because a tenant that is being made, claimed or deleted may look
// wrong once.
func (f *Fleet) tryFleet(ctx context.Context, t *tour) ([]database.Trial, error) {
	trials, err := f.surveyFleet(ctx, t)
	if err != nil || !slices.ContainsFunc(trials, Failed) {
		return trials, err
	}
	return f.surveyFleet(ctx, t)
}

// Failed reports whether a trial found a way across.
func Failed(trial database.Trial) bool { return trial.Result == database.ResultFail }

// fleetSurvey collects what is wrong with the tenants, by trial.
type fleetSurvey struct {
	database.Survey

	connects map[string][]string // by role, the databases that it has a right to

	open, roleless, powerful, members, stray, schemas []string
}

func (f *Fleet) surveyFleet(ctx context.Context, t *tour) ([]database.Trial, error) {
	var fleet []models.Tenant
	err := models.EachTenant(ctx, f.databases.Core, models.Selection{Fleet: true}, func(record *models.Tenant) error {
		fleet = append(fleet, *record)
		return nil
	})
	if err != nil {
		return nil, err
	}
	survey, err := f.survey(ctx)
	if err != nil {
		return nil, err
	}
	s := fleetSurvey{Survey: survey, connects: make(map[string][]string)}
	for name, rights := range survey.Databases {
		for role := range rights.Roles {
			s.connects[role] = append(s.connects[role], name)
		}
	}
	s.checkOpen("core", survey.Core)
	for i := range fleet {
		s.check(&fleet[i])
	}
	s.schemas, err = f.findOpenSchemas(ctx, fleet, t)
	return s.trials(len(fleet)), err
}

func (s *fleetSurvey) checkOpen(label, name string) {
	if open := s.Databases[name].Public; len(open) > 0 {
		s.open = append(s.open, fmt.Sprintf("%s (%s)", label, strings.Join(open, ", ")))
	}
}

func (s *fleetSurvey) check(record *models.Tenant) {
	name := record.Name()
	s.checkOpen(name, record.DatabaseName)
	state, found := s.Roles[record.Role]
	if !found {
		s.roleless = append(s.roleless, name)
		return
	}
	if len(state.Powers) > 0 {
		s.powerful = append(s.powerful, fmt.Sprintf("%s (%s)", name, strings.Join(state.Powers, ", ")))
	}
	if len(state.MemberOf) > 0 {
		s.members = append(s.members, fmt.Sprintf("%s (%s)", name, strings.Join(state.MemberOf, ", ")))
	}
	want := []string{record.DatabaseName}
	if record.Status == models.TenantSpare { // its role may connect once it is claimed
		want = nil
	}
	may := s.Databases[record.DatabaseName].Roles[record.Role]
	if !slices.Equal(want, s.connects[record.Role]) || want != nil && !slices.Equal(may, []string{"CONNECT"}) {
		s.stray = append(s.stray, fmt.Sprintf("%s (%s)", name, strings.Join(s.connects[record.Role], ", ")))
	}
}

func (s *fleetSurvey) trials(total int) []database.Trial {
	judge := func(name, good, bad string, wrong []string) database.Trial {
		if len(wrong) == 0 {
			return database.Trial{Name: name, Result: database.ResultPass, Detail: good}
		}
		return failed(name, bad+": "+someOf(wrong))
	}
	all := fmt.Sprintf("of %d databases and their roles: ", total)
	return []database.Trial{
		judge("fleet_closed", all+"none, nor core, is open to every role of the server",
			"open to every role of the server", s.open),
		judge("fleet_roles", all+"each has a role", "without a role on the server", s.roleless),
		judge("fleet_powers", all+"no role may do more than log in", "with a role that may do more than log in", s.powerful),
		judge("fleet_members", all+"no role is a member of another", "with a role that is a member of others", s.members),
		judge("fleet_connect", all+"each role may connect to its own database, and do nothing else with any",
			"with a role that may use others than its own database, or do more than connect, or not even that", s.stray),
		judge("fleet_schemas", all+"no role may make anything in schema public of its own database",
			"with a role that may make tables and functions in schema public, or with a database that cannot be opened", s.schemas),
	}
}

// someOf lists the first maxNamed names.
func someOf(names []string) string {
	slices.Sort(names)
	more := ""
	if len(names) > maxNamed {
		more = fmt.Sprintf(" and %d more", len(names)-maxNamed)
		names = names[:maxNamed]
	}
	return strings.Join(names, ", ") + more
}

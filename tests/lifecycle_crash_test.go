package tests_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// TestServe is what processes started by testkit.StartProcess run.
func TestServe(t *testing.T) {
	testkit.Serve(t)
}

// The steps at which a process dies. After the last of those of making, the
// tenant is whole although nobody was told.
var (
	stepsOfMaking = []tenants.Step{
		tenants.StepLocked, tenants.StepReserved, tenants.StepCreated, tenants.StepBuilt,
		tenants.StepNamed, tenants.StepSeeded, tenants.StepReady,
	}
	stepsOfDeleting = []tenants.Step{tenants.StepMarked, tenants.StepDropped, tenants.StepDeleted}
)

// requireKilled makes a request for each of the steps that the process was
// started with, and returns once it has killed itself: each request had come to
// its own step then. A deletion that stands still for long is answered that it goes on.
func requireKilled(t *testing.T, process *testkit.Process, steps []tenants.Step, request func(tenants.Step) testkit.Request) {
	t.Helper()
	errs := make(chan error, len(steps))
	for i, step := range steps {
		go func() {
			answer, err := process.Try(request(step))
			if answer.Code == http.StatusAccepted {
				err = errors.New("it is accepted, and not done")
			}
			errs <- err
		}()
		if i+1 < len(steps) {
			process.AwaitStop(step)
		}
	}
	process.RequireKilled()
	for range steps {
		require.Error(t, <-errs, "%s", steps)
	}
}

// killedWhileMaking has processes killed at all the steps of making, each at two of
// them, and starts an application.
func killedWhileMaking(t *testing.T, settings testkit.Settings, request func(tenants.Step) testkit.Request) *testkit.App {
	t.Helper()
	const atWork = 2 // a process makes no more at once
	for steps := range slices.Chunk(stepsOfMaking, atWork) {
		requireKilled(t, testkit.StartProcess(t, settings, steps...), steps, request)
	}
	app := testkit.Start(t, settings)
	settings.RequireTidy(t)
	return app
}

// TestKilledWhileMakingAnOrganization: after a restart it is whole or gone.
func TestKilledWhileMakingAnOrganization(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		core := bystander(t, settings)
		for round := range testkit.Rounds(t) {
			slugAt := func(step tenants.Step) string { return fmt.Sprintf("acme-%s-%d", step, round) }
			app := killedWhileMaking(t, settings, func(step tenants.Step) testkit.Request {
				return testkit.Creation(core, slugAt(step))
			})
			for _, step := range stepsOfMaking {
				slug := slugAt(step)
				found := app.Get("/api/organizations/"+slug, core).Code == http.StatusOK
				require.Equal(t, step == tenants.StepReady, found, step)
				if !found {
					app.Login(slug, "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
					app.Organization(core, slug)
				}
				requireWhole(t, app, slug)
				require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/"+slug, core).Code)
			}
			requireWhole(t, app, "bystander")
			settings.RequireTidy(t)
			app.Close()
		}
	})
}

// TestKilledDuringAFirstRegistration: nothing is left of it, or all of it.
func TestKilledDuringAFirstRegistration(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		bystander(t, settings)
		for round := range testkit.Rounds(t) {
			slugAt := func(step tenants.Step) string { return fmt.Sprintf("globex-%s-%d", step, round) }
			app := killedWhileMaking(t, settings, func(step tenants.Step) testkit.Request {
				return testkit.Registration(slugAt(step), "hank@example.com")
			})
			for _, step := range stepsOfMaking {
				slug := slugAt(step)
				whole := app.Login(slug, "hank@example.com").Code == http.StatusOK
				require.Equal(t, step == tenants.StepReady, whole, step)
				if whole {
					app.Register(slug, "hank@example.com").RequireProblem(app, 400, "email_taken", "Email already registered")
				} else {
					app.Token(slug, "hank@example.com")
				}
			}
			requireWhole(t, app, "bystander")
			settings.RequireTidy(t)
			app.Close()
		}
	})
}

// TestKilledWhileDeleting: what was marked for deletion is gone after a restart,
// also where the process that was to finish it is killed in its turn.
func TestKilledWhileDeleting(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		core := bystander(t, settings)
		for round := range testkit.Rounds(t) {
			slugAt := func(step tenants.Step) string { return fmt.Sprintf("acme-%s-%d", step, round) }
			members := make(map[tenants.Step]string)
			process := testkit.StartProcess(t, settings, stepsOfDeleting...)
			for _, step := range stepsOfDeleting {
				process.Organization(core, slugAt(step))
				members[step] = process.TokenOf(slugAt(step), "ada@example.com")
			}
			requireKilled(t, process, stepsOfDeleting, func(step tenants.Step) testkit.Request {
				return testkit.Request{Method: http.MethodDelete, Path: "/api/organizations/" + slugAt(step), Token: core}
			})
			testkit.StartProcess(t, settings, tenants.StepDropped).RequireKilled() // it begins with the oldest, which is marked

			app := testkit.Start(t, settings)
			settings.RequireTidy(t)
			for step, member := range members {
				require.Equal(t, http.StatusNotFound, app.Get("/api/organizations/"+slugAt(step), core).Code, step)
				app.Get("/api/users/me", member).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
				app.Organization(core, slugAt(step))
				requireWhole(t, app, slugAt(step))
				app.Get("/api/users/me", member).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
			}
			requireWhole(t, app, "bystander")
			settings.RequireTidy(t)
			app.Close()
		}
	})
}

// TestSurvivorFinishesWhatAnotherLeft: nobody need restart for what a dead
// process has left; another on the same databases sees to it. That takes its
// time, hence only where the many kills are asked for.
func TestSurvivorFinishesWhatAnotherLeft(t *testing.T) {
	if testkit.Rounds(t) == 1 {
		t.Skip("waits for half a minute: set KILL_ROUNDS")
	}
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		bystander(t, settings)
		survivor := testkit.Start(t, settings)
		process := testkit.StartProcess(t, settings, tenants.StepNamed)
		core := process.TokenOf("", "ada@example.com")
		_, err := process.Try(testkit.Creation(core, "acme"))
		require.Error(t, err)
		process.RequireKilled()

		testkit.Await(t, time.Minute, func() error {
			if created := survivor.CreateOrganization(core, "acme"); created.Code != http.StatusOK {
				return errors.New(created.Raw)
			}
			return nil
		})
		requireWhole(t, survivor, "acme")
		settings.RequireTidy(t)
	})
}

// TestKilledAtAnyMoment kills the process at a random moment of a busy life,
// again and again: what it acknowledged is there, whatever else was going on is
// whole or gone, and nothing is left over.
func TestKilledAtAnyMoment(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		bystander(t, settings)
		for round := range testkit.Rounds(t) {
			life := newBusyLife(round, testkit.StartProcess(t, settings, ""))
			core := life.process.TokenOf("", "ada@example.com")
			var work sync.WaitGroup
			for worker := range 2 {
				work.Go(func() { life.work(core, worker) })
			}
			for range 1 + rand.IntN(8) {
				life.awaitAnswer(t)
			}
			<-time.After(time.Duration(rand.IntN(100)) * time.Millisecond) // at no particular moment
			life.process.Kill()
			work.Wait()

			app := testkit.Start(t, settings)
			settings.RequireTidy(t)
			life.requireKept(t, app, core)
			requireWhole(t, app, "bystander")
			app.Close()
		}
	})
}

// TestTheReconcilerSparesTheLiving: while a process is at work on a tenant,
// another that starts leaves it alone.
func TestTheReconcilerSparesTheLiving(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		status := map[tenants.Step]models.TenantStatus{
			tenants.StepReserved: models.TenantMaking, tenants.StepCreated: models.TenantMaking, tenants.StepBuilt: models.TenantMaking,
			tenants.StepNamed: models.TenantProvisioning, tenants.StepSeeded: models.TenantProvisioning,
		}
		var current atomic.Pointer[gate]
		slow := settings
		slow.OnStep = func(step tenants.Step) { current.Load().pass(step) }
		app := testkit.Start(t, slow)
		owner := app.Token("", "ada@example.com")
		for i, step := range stepsOfMaking[1:6] {
			slug := fmt.Sprintf("acme-%d", i)
			current.Store(newGate(step))
			made := make(chan testkit.Response, 1)
			go func() { made <- app.Do(testkit.Creation(owner, slug)) }()
			<-current.Load().reached

			other := testkit.Start(t, settings)
			require.Equal(t, string(status[step]), testkit.Scalar[string](t, &settings, settings.CoreName(),
				"SELECT status FROM tenants WHERE status <> 'ready'"))
			other.Login(slug, "ada@example.com").RequireProblem(other, 401, "invalid_credentials", "Incorrect email or password")
			close(current.Load().open)

			response := <-made
			require.Equal(t, http.StatusOK, response.Code, response.Raw)
			other.TokenOf(slug, "ada@example.com")
			settings.RequireTidy(t)
			other.Close()
		}
	})
}

// gate holds up the process at a step.
type gate struct {
	reached chan struct{}
	open    chan struct{}
	pass    func(tenants.Step)
}

func newGate(at tenants.Step) *gate {
	g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
	var once sync.Once
	g.pass = func(step tenants.Step) {
		if step == at {
			once.Do(func() { close(g.reached) })
			<-g.open
		}
	}
	return g
}

// bystander makes Ada, who owns an organization that nothing must happen to, and
// returns her token.
func bystander(t *testing.T, settings testkit.Settings) (core string) {
	t.Helper()
	app := testkit.Start(t, settings)
	core = app.Token("", "ada@example.com")
	app.Organization(core, "bystander")
	app.Token("bystander", "grace@example.com")
	app.Close()
	return core
}

// requireWhole requires that Ada's organization works, and that she is in it
// just once.
func requireWhole(t *testing.T, app *testkit.App, slug string) {
	t.Helper()
	me := app.Get("/api/users/me", app.TokenOf(slug, "ada@example.com"))
	require.Equal(t, http.StatusOK, me.Code, me.Raw)
	require.Equal(t, "ada@example.com", me.Text(app, "email"))
	app.Register(slug, "ada@example.com").RequireProblem(app, 400, "email_taken", "Email already registered")
}

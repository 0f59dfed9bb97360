package tests_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/controllers"
	"multitenant/tests/testkit"
)

const redeemPath = "/api/auth/password-reset"

func redeeming(token, password string) testkit.Request {
	return testkit.Request{
		Method: http.MethodPost, Path: redeemPath,
		Body: testkit.JSON{"token": token, "new_password": password, "email": "other@example.com"},
	}
}

// requireNoReset requires the one answer to a token that is good for nothing.
func requireNoReset(t *testing.T, app *testkit.App, token string) testkit.Response {
	t.Helper()
	answer := app.Do(redeeming(token, newPassword))
	answer.RequireProblem(app, 400, "invalid_reset_token", "Invalid or expired password reset token")
	return answer
}

func requireReset(t *testing.T, app *testkit.App, token string) {
	t.Helper()
	redeemed := app.Do(redeeming(token, newPassword))
	require.Equal(t, http.StatusNoContent, redeemed.Code, redeemed.Raw)
}

// resetOf returns the token that the operator makes.
func resetOf(t *testing.T, settings *testkit.Settings, tenant, email string) string {
	t.Helper()
	arguments := []string{"users", "reset-password", email}
	if tenant != "" {
		arguments = append(arguments, "--tenant", tenant)
	}
	return strings.TrimSuffix(settings.Command(t, arguments...).RequireCode(t, 0).Stdout, "\n")
}

func TestAForgottenPassword(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		app.Token(tenant, "grace@example.com")
		phone, laptop := login(t, app, tenant, "ada@example.com"), login(t, app, tenant, "ada@example.com")
		stranger := login(t, app, tenant, "grace@example.com")
		token := resetOf(t, &app.Settings, tenant, "ada@example.com")
		requireLives(t, app, phone, laptop, login(t, app, tenant, "ada@example.com"))
		parsed, err := auth.ParseResetToken(token)
		require.NoError(t, err)
		dump := app.Settings.Dump(t, databaseOf(app, tenant))
		require.Contains(t, dump, parsed.Hash())
		require.NotContains(t, dump, token[len(token)-20:], "only the hash is kept")

		requireReset(t, app, token)

		requireDead(t, app, phone, laptop)
		requireLives(t, app, stranger)
		requireNewPassword(t, app, tenant, "ada@example.com")
		used := requireNoReset(t, app, token)
		require.NotContains(t, app.Settings.Dump(t, databaseOf(app, tenant)), parsed.Hash(), "it is used up")
		require.Contains(t, logLine(t, app, used), "/api/auth/password-reset")
		for _, secret := range []string{token[5:], parsed.Hash(), newPassword} {
			require.NotContains(t, app.Log.String(), secret)
		}
	})
}

func TestResetTokensThatAreNone(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		ada := login(t, app, tenant, "ada@example.com")
		good := resetOf(t, &app.Settings, tenant, "ada@example.com")
		parsed, err := auth.ParseResetToken(good)
		require.NoError(t, err)
		unknown := auth.NewResetToken(parsed.TenantID)
		encoded, err := unknown.Encode()
		require.NoError(t, err)
		for _, token := range []string{
			"", "x", "mtpw_", good[5:], good + "A", good[:68], "mtr_" + good[5:], strings.Repeat("A", 60_000), encoded,
			ada.access, ada.refresh, "mtpw_" + ada.refresh[4:], parsed.Hash(),
		} {
			requireNoReset(t, app, token)
		}
		requireNoRefresh(t, app, good)
		requireNoRefresh(t, app, "mtr_"+good[5:])
		app.Get(profilePath, good).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		requireLives(t, app, ada)
		requireReset(t, app, good)
	})
}

func TestResetsAreReplacedAndExpire(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, now *clock, tenant string) {
		first := resetOf(t, &app.Settings, tenant, "ada@example.com")
		second := resetOf(t, &app.Settings, tenant, "ada@example.com")
		requireNoReset(t, app, first)
		now.ahead.Store(int64(time.Hour))
		requireNoReset(t, app, second)
		now.ahead.Store(int64(time.Hour - time.Minute))
		requireReset(t, app, second)
	})
}

// TestARefusedPasswordDoesNotUseTheResetUp: one may try again.
func TestARefusedPasswordDoesNotUseTheResetUp(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		token := resetOf(t, &app.Settings, tenant, "ada@example.com")
		for next, code := range map[string]string{
			"short": "too_short", strings.Repeat("x", 73): "too_long", "ADA@example.com": "same_as_email", "a\x00 NUL in it": "invalid_text",
		} {
			app.Do(redeeming(token, next)).RequireInvalid(app, map[string]string{"new_password": code})
		}
		for body, want := range map[string]map[string]string{
			`{}`:                                {"token": "required", "new_password": "required"},
			`{"token":null,"new_password":"x"}`: {"token": "required", "new_password": "too_short"},
			`{"token":1,"new_password":"x"}`:    {"token": "wrong_type"},
		} {
			app.Post(redeemPath, "", body).RequireInvalid(app, want)
		}
		app.Login(tenant, "ada@example.com")
		requireReset(t, app, token)
		requireNewPassword(t, app, tenant, "ada@example.com")
	})
}

// TestAResetIsRedeemedOnce, whoever comes with it at the same time: the password
// is that of whom it was answered to.
func TestAResetIsRedeemedOnce(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		apps := []*testkit.App{app, testkit.Start(t, app.Settings)}
		for _, tenant := range []string{"", "acme"} {
			apps[0].Token(tenant, "ada@example.com")
			token := resetOf(t, &app.Settings, tenant, "ada@example.com")
			requests := make([]testkit.Request, 24)
			for i := range requests {
				requests[i] = redeeming(token, fmt.Sprintf("%s, number %d", newPassword, i))
			}
			answers := testkit.TryAtOnce(t, apps, requests)
			require.Equal(t, map[int]int{http.StatusNoContent: 1, http.StatusBadRequest: 23}, testkit.Count(answers))
			for i, answer := range answers {
				want := map[int]int{http.StatusNoContent: http.StatusOK, http.StatusBadRequest: http.StatusUnauthorized}[answer.Code]
				require.Equal(t, want, apps[1].LoginWith(tenant, "ada@example.com", fmt.Sprintf("%s, number %d", newPassword, i)).Code)
			}
		}
	})
}

// TestOneResetIsPending, however many are asked for at the same time.
func TestOneResetIsPending(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		apps := []*testkit.App{app, testkit.Start(t, app.Settings)}
		boss := apps[0].Token("acme", "boss@example.com")
		id := subjectOf(t, apps[0].Token("acme", "ada@example.com"))
		answers := testkit.TryAtOnce(t, apps, slices.Repeat([]testkit.Request{resetting(boss, id)}, 20))
		require.Equal(t, map[int]int{http.StatusCreated: 20}, testkit.Count(answers))
		redemptions := make([]testkit.Request, len(answers))
		for i, answer := range answers {
			redemptions[i] = redeeming(answer.Text(apps[0], "token"), newPassword)
		}
		redeemed := testkit.Count(testkit.TryAtOnce(t, apps, redemptions))
		require.Equal(t, map[int]int{http.StatusNoContent: 1, http.StatusBadRequest: 19}, redeemed)
	})
}

// TestAResetAndAChangeAtOnce: one of them is first, and the other is refused, for
// neither is good once the password has changed.
func TestAResetAndAChangeAtOnce(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		apps := []*testkit.App{app, testkit.Start(t, app.Settings)}
		for _, tenant := range []string{"", "acme"} {
			for i := range 5 {
				email := fmt.Sprintf("ada%d@example.com", i)
				session := apps[0].Token(tenant, email)
				reset := redeeming(resetOf(t, &app.Settings, tenant, email), newPassword)
				requests := slices.Repeat([]testkit.Request{reset, change(session, testkit.Password, newPassword)}, 5)
				counts := testkit.Count(testkit.TryAtOnce(t, []*testkit.App{apps[i%2], apps[0], apps[1]}, requests))
				require.Equal(t, 1, counts[http.StatusNoContent]+counts[http.StatusOK], counts)
				require.Equal(t, 9, counts[http.StatusBadRequest]+counts[http.StatusUnauthorized], counts)
				require.Equal(t, http.StatusOK, apps[1].LoginWith(tenant, email, newPassword).Code)
			}
		}
	})
}

// TestStrangersCannotMakeTheServerHash: without anything to hash with, all but a
// good token is answered as ever.
func TestStrangersCannotMakeTheServerHash(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		good := resetOf(t, &app.Settings, tenant, "ada@example.com")
		parsed, err := auth.ParseResetToken(good)
		require.NoError(t, err)
		unknown := auth.NewResetToken(parsed.TenantID)
		encoded, err := unknown.Encode()
		require.NoError(t, err)
		router, err := controllers.NewRouter(&controllers.Options{
			Tenants: app.Tenants, Tokens: app.TokenKit, Status: app.Status, Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		for token, want := range map[string]int{
			encoded: http.StatusBadRequest, good[:68]: http.StatusBadRequest, good: http.StatusInternalServerError,
		} {
			answer := httptest.NewRecorder()
			router.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, redeemPath,
				strings.NewReader(`{"token":"`+token+`","new_password":"`+newPassword+`"}`)))
			require.Equal(t, want, answer.Code, answer.Body)
		}
		requireReset(t, app, good)
	})
}

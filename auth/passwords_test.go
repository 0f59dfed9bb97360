package auth_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/models"
)

const password = "correct horse"

func newPasswords(tb testing.TB, change ...func(*auth.PasswordOptions)) *auth.Passwords {
	tb.Helper()
	options := auth.PasswordOptions{Cost: auth.MinCost}
	for _, apply := range change {
		apply(&options)
	}
	passwords, err := auth.NewPasswords(options)
	require.NoError(tb, err)
	return passwords
}

func hashOf(tb testing.TB, text string, cost int) string {
	tb.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(text), cost)
	require.NoError(tb, err)
	return string(hash)
}

func requireKind(t *testing.T, err error, kind models.Kind, message string) {
	t.Helper()
	var known *models.Error
	require.ErrorAs(t, err, &known)
	require.Equal(t, kind, known.Kind)
	require.Equal(t, message, known.Message)
}

func requireWrong(t *testing.T, err error) {
	t.Helper()
	requireKind(t, err, models.KindInvalidCredentials, "Incorrect email or password")
}

func TestHashOfAPasswordIsItsOwn(t *testing.T) {
	t.Parallel()
	passwords := newPasswords(t, func(o *auth.PasswordOptions) { o.Cost = 5 })

	for _, text := range []string{password, strings.Repeat("x", 72), "", "pässwörd", " spaced "} {
		hash, err := passwords.Hash(t.Context(), limits.Turn{}, text)
		require.NoError(t, err)

		cost, err := bcrypt.Cost([]byte(hash))
		require.NoError(t, err)
		require.Equal(t, 5, cost)
		require.NoError(t, passwords.Compare(t.Context(), limits.Turn{}, hash, text))
		requireWrong(t, passwords.Compare(t.Context(), limits.Turn{}, hash, text+"x"))
	}
}

func TestHashRefusesWhatBcryptWouldNotRead(t *testing.T) {
	t.Parallel()

	hash, err := newPasswords(t).Hash(t.Context(), limits.Turn{}, strings.Repeat("x", 73))

	require.ErrorContains(t, err, "longer than bcrypt reads")
	require.Empty(t, hash)
}

func TestCompareVerifiesForeignHashes(t *testing.T) {
	t.Parallel()
	own := hashOf(t, password, auth.MinCost)
	cases := map[string]struct{ hash, password string }{
		"$2a$":                        {own, password},
		"$2b$, as Python spells it":   {"$2b$" + own[4:], password},
		"$2y$, as PHP spells it":      {"$2y$" + own[4:], password},
		"greater cost than the live":  {hashOf(t, password, 6), password},
		"made by Python's bcrypt":     {"$2b$12$P.FEjHaR7VBrXop/A2MJL.8Xjj/qWyioJAMXxdz6nVVL4GwQFUJTC", password},
		"made by it of other letters": {"$2b$04$1gAo61tJOJPq.CbyKYfo/OnFNS1GM24tQNcufb3nzCGS50qgQHouy", "pässwörd"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			passwords := newPasswords(t)
			require.NoError(t, passwords.Compare(t.Context(), limits.Turn{}, tc.hash, tc.password))
			requireWrong(t, passwords.Compare(t.Context(), limits.Turn{}, tc.hash, tc.password+"?"))
		})
	}
}

// The benchmark shows how much alike the times are; this shows that nothing is
// answered without the work. Skipping it would be a hundred times as fast.
func TestCompareNeverAnswersWithoutTheWork(t *testing.T) {
	t.Parallel()
	const cost = 8
	passwords := newPasswords(t, func(o *auth.PasswordOptions) { o.Cost = cost })
	good := hashOf(t, password, cost)
	attempts := map[string]struct{ hash, text string }{
		"genuine":                  {good, "wrong"},
		"nobody":                   {"", "wrong"},
		"longer than bcrypt reads": {good, strings.Repeat("x", 73)},
		"malformed":                {"malformed", "wrong"},
		"bad salt":                 {good[:7] + strings.Repeat("!", 53), "wrong"},
		"lesser cost, wrong":       {hashOf(t, password, auth.MinCost), "wrong"},
		"lesser cost, right":       {hashOf(t, password, auth.MinCost), password},
	}
	fastest := map[string]time.Duration{}
	for range 5 { // they take turns, so that whatever else the machine does hits all
		for name, attempt := range attempts {
			start := time.Now()
			err := passwords.Compare(t.Context(), limits.Turn{}, attempt.hash, attempt.text)
			took := time.Since(start)
			if attempt.text == "wrong" {
				requireWrong(t, err)
			}
			if best, found := fastest[name]; !found || took < best {
				fastest[name] = took
			}
		}
	}
	for name, took := range fastest {
		require.Greater(t, took, fastest["genuine"]/4, name)
	}
}

func TestCompareAnswersAlikeWhateverIsWrong(t *testing.T) {
	t.Parallel()
	good := hashOf(t, password, auth.MinCost)
	long := strings.Repeat("x", 72)
	cases := map[string]struct{ hash, password string }{
		"wrong password":        {good, "wrong"},
		"empty password":        {good, ""},
		"nobody":                {"", password},
		"nobody, no password":   {"", ""},
		"nobody, long password": {"", long + "y"},
		"longer than is read":   {hashOf(t, long, auth.MinCost), long + "y"},
		"not a hash":            {"not a hash", password},
		"the password itself":   {password, password},
		"cut":                   {good[:59], password},
		"a letter more":         {good + "x", password},
		"unknown version":       {"$3a$" + good[4:], password},
		"no version":            {"$2$$" + good[4:], password},
		"cost no number":        {"$2a$xx$" + good[7:], password},
		"cost too small":        {"$2a$03$" + good[7:], password},
		"cost of days":          {"$2a$31$" + good[7:], password},
		"cost of seconds":       {"$2a$16$" + good[7:], password},
		"salt misspelled":       {good[:7] + strings.Repeat("!", 22) + good[29:], password},
		"salt of line feeds":    {good[:7] + strings.Repeat("\n", 22) + good[29:], password},
		"digest misspelled":     {good[:59] + "=", password},
		"argon2":                {"$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNo", password},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newPasswords(t).Compare(t.Context(), limits.Turn{}, tc.hash, tc.password)
			requireWrong(t, err)
			require.NotContains(t, err.Error(), password)
			require.NotContains(t, err.Error(), good)
		})
	}
}

// The waits are the clock's of a synctest bubble: none of them takes any time.
func TestHashingIsBoundedByTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passwords := newPasswords(t, func(o *auth.PasswordOptions) { o.Workers = 1 })
		release := auth.Occupy(t, passwords)
		start := time.Now()

		_, err := passwords.Hash(t.Context(), limits.Turn{}, password)
		requireKind(t, err, models.KindBusy, "Server is busy, try again")
		require.Equal(t, 2*time.Second, time.Since(start))

		err = passwords.Compare(t.Context(), limits.Turn{}, "", password)
		requireKind(t, err, models.KindBusy, "Server is busy, try again")

		release()
		_, err = passwords.Hash(t.Context(), limits.Turn{}, password)
		require.NoError(t, err)
	})
}

func TestAWaiterIsServedWhenItsTurnComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passwords := newPasswords(t, func(o *auth.PasswordOptions) { o.Workers, o.Wait = 1, time.Second })
		release := auth.Occupy(t, passwords)
		time.AfterFunc(900*time.Millisecond, release)

		_, err := passwords.Hash(t.Context(), limits.Turn{}, password)

		require.NoError(t, err)
	})
}

func TestAWaiterLeavesWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passwords := newPasswords(t, func(o *auth.PasswordOptions) { o.Workers = 1 })
		release := auth.Occupy(t, passwords)
		start := time.Now()

		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := passwords.Hash(short, limits.Turn{}, password)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 100*time.Millisecond, time.Since(start))
		var known *models.Error
		require.NotErrorAs(t, err, &known, "a caller that has gone is not told to try again")

		release()
		gone, leave := context.WithCancel(t.Context())
		leave()
		require.ErrorIs(t, passwords.Compare(gone, limits.Turn{}, "", password), context.Canceled)
	})
}

func TestNewPasswordsChecksItsOptions(t *testing.T) {
	t.Parallel()
	cases := map[string]auth.PasswordOptions{
		"no cost":          {},
		"cost too small":   {Cost: 3},
		"cost too great":   {Cost: 16},
		"negative workers": {Cost: 4, Workers: -1},
		"negative wait":    {Cost: 4, Wait: -1},
	}
	for name, options := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := auth.NewPasswords(options)
			require.Error(t, err)
		})
	}
}

// Every line must show the same time. Costs of 10 keep it short; the times of 12
// are four times as long and no less alike.
func BenchmarkPasswords_Compare(b *testing.B) {
	const cost = 10
	passwords := newPasswords(b, func(o *auth.PasswordOptions) { o.Cost = cost })
	good := hashOf(b, password, cost)
	cases := []struct{ name, hash, password string }{
		{"right", good, password},
		{"wrong", good, "wrong"},
		{"nobody", "", password},
		{"long", good, strings.Repeat("x", 4096)},
		{"malformed", good[:7] + strings.Repeat("!", 53), password},
		{"lesser cost", hashOf(b, password, auth.MinCost), password},
	}
	for _, bc := range cases {
		b.Run(bc.name, func(b *testing.B) {
			for b.Loop() {
				err := passwords.Compare(b.Context(), limits.Turn{}, bc.hash, bc.password)
				_ = err // right or wrong is the case's; here only the time counts
			}
		})
	}
}

func FuzzCompare(f *testing.F) {
	good := hashOf(f, password, auth.MinCost)
	f.Add(good, password)
	f.Add("", "")
	f.Add(good[:59], password)
	passwords := newPasswords(f)

	f.Fuzz(func(t *testing.T, hash, text string) {
		err := passwords.Compare(t.Context(), limits.Turn{}, hash, text)
		if err != nil {
			requireWrong(t, err)
			return
		}
		require.NoError(t, bcrypt.CompareHashAndPassword([]byte(hash), []byte(text)))
	})
}

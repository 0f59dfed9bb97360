package models_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
)

func TestParseSlug(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"a", "7", "aa", "acme", "a-b", "a--b", "0-9", "acme-2", "n--x", "xn-a", "x-n--a", "admin", "core", strings.Repeat("a", 300),
	} {
		slug, err := models.ParseSlug(good)
		require.NoError(t, err, good)
		require.Equal(t, models.Slug(good), slug, "it is never normalised")
	}
	for _, bad := range []string{
		"", " ", "-", "--", "-a", "a-", " acme", "acme ", "acme\n", "Acme", "aCme", "ac me", "ac_me", "ac.me", "acme/", "../core", "..", ".",
		"a?mode=memory", "x?host=evil", "x dbname=postgres", "%2e%2e%2f", "acme\x00", "\x00", "acmé", "аcme", "ａcme", "１", "K\u212a", "ſ",
		"xn--a", "xn--", "a-xn--b", "axn--b", "\xff", "acme\xff", "a'b", "a\"b", "a;b", "a\\b", "a:b", "🐎", "_spare", strings.Repeat("-", 300),
	} {
		slug, err := models.ParseSlug(bad)
		require.True(t, models.IsKind(err, models.KindInvalidSlug), "%q", bad)
		require.EqualError(t, err, "Invalid slug format")
		require.Empty(t, slug)
	}
}

func TestCheckNew(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"aa", "acme", "admins", "core2", "com", "com10", "lpt", "postgres1", "me2", strings.Repeat("a", 40)} {
		require.NoError(t, models.Slug(good).CheckNew(), good)
	}
	for _, slug := range []string{"a", "7", strings.Repeat("a", 41), strings.Repeat("a", 64)} {
		require.True(t, models.IsKind(models.Slug(slug).CheckNew(), models.KindInvalidSlug), slug)
	}
	reserved := strings.FieldsSeq(`postgres template0 template1 core public admin root system api auth login register docs health ready
		metrics www mail static internal tenant tenants organization organizations users me null undefined default
		con nul prn aux com1 com2 com3 com4 com5 com6 com7 com8 com9 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9`)
	for slug := range reserved {
		require.True(t, models.IsKind(models.Slug(slug).CheckNew(), models.KindReservedSlug), slug)
	}
}

// FuzzParseSlug makes sure that what is accepted is safe wherever it is used: in
// a file's name, a database's, a URL and a host's.
func FuzzParseSlug(f *testing.F) {
	for _, seed := range []string{
		"acme", "a", "-", "a-b", "xn--a", "../core", "a?mode=memory", "x dbname=postgres", "%2e%2e%2f", "acme\x00", "K", "аcme", "com1",
	} {
		f.Add(seed)
	}
	wellFormed := regexp.MustCompile(`\A[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\z`)
	f.Fuzz(func(t *testing.T, text string) {
		slug, err := models.ParseSlug(text)
		require.Equal(t, wellFormed.MatchString(text) && !strings.Contains(text, "xn--"), err == nil, "%q", text)
		if err != nil {
			require.True(t, models.IsKind(err, models.KindInvalidSlug))
			require.Empty(t, slug)
			return
		}
		require.Equal(t, text, string(slug))
		require.Equal(t, text+".db", filepath.Base(filepath.Join("/data", text+".db")))
		if slug.CheckNew() == nil {
			require.GreaterOrEqual(t, len(text), models.MinSlugBytes)
			require.LessOrEqual(t, len(text), models.MaxSlugBytes)
			require.True(t, filepath.IsLocal(text))
		}
	})
}

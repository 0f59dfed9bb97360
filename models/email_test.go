package models_test

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
)

func TestValidEmail(t *testing.T) {
	t.Parallel()
	local64, label63 := strings.Repeat("l", 64), strings.Repeat("d", 63)
	long := local64 + "@" + label63 + "." + label63 + "." // 193 bytes
	cases := []struct {
		name, address string
		want          bool
	}{
		{"plain", "ada@example.com", true},
		{"shortest", "a@b.c", true},
		{"every symbol", "!#$%&'*+-/=?^_`{|}~@example.com", true},
		{"dots inside", "a.b.c@d.e.f", true},
		{"digits", "1@2.3", true},
		{"capitals", "ADA@EXAMPLE.COM", true},
		{"hyphens in a label", "a@b--c.d-e", true},
		{"punycode", "a@xn--exmple-cua.com", true},
		{"local part of 64", local64 + "@example.com", true},
		{"local part of 65", local64 + "l@example.com", false},
		{"label of 63", "a@" + label63 + ".com", true},
		{"label of 64", "a@" + label63 + "d.com", false},
		{"254 bytes", long + strings.Repeat("d", 61), true},
		{"255 bytes", long + strings.Repeat("d", 62), false},
		{"empty", "", false},
		{"at alone", "@", false},
		{"no at", "ada.example.com", false},
		{"two ats", "a@b@example.com", false},
		{"one label", "ada@localhost", false},
		{"no local part", "@example.com", false},
		{"no domain", "ada@", false},
		{"dot first", ".ada@example.com", false},
		{"dot last", "ada.@example.com", false},
		{"two dots", "a..b@example.com", false},
		{"empty label", "ada@example..com", false},
		{"dot ends the domain", "ada@example.com.", false},
		{"dot begins the domain", "ada@.example.com", false},
		{"hyphen begins a label", "a@-b.co", false},
		{"hyphen ends a label", "a@b-.co", false},
		{"hyphen ends the domain", "a@b.co-", false},
		{"underscore in a label", "a@b_c.de", false},
		{"quoted", `"ada"@example.com`, false},
		{"with a name", "Ada <ada@example.com>", false},
		{"literal", "ada@[127.0.0.1]", false},
		{"comment", "ada(x)@example.com", false},
		{"space", "ada @example.com", false},
		{"space around", " ada@example.com", false},
		{"line feed", "ada@example.com\n", false},
		{"NUL", "ada@example.com\x00", false},
		{"not ASCII before", "ädä@example.com", false},
		{"not ASCII behind", "ada@exämple.com", false},
		{"Cyrillic", "аda@example.com", false},
		{"full width", "ada＠example.com", false},
		{"not UTF-8", "ada\xff@example.com", false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, models.ValidEmail(tc.address), "%q", tc.address)
		})
	}
}

func TestCanonicalEmail(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"":                         "",
		"ada@example.com":          "ada@example.com",
		"Ada.Lovelace@Example.COM": "ada.lovelace@example.com",
		"@AZ[`az{":                 "@az[`az{", // what stands next to the letters in ASCII
		"ÄDA@EXAMPLE.COM":          "Äda@example.com",
		"\u212Aim@example.com":     "\u212Aim@example.com", // the Kelvin sign
		"ſam@example.com":          "ſam@example.com",
		"İ@example.com":            "İ@example.com",
	} {
		require.Equal(t, want, models.CanonicalEmail(address))
	}
}

func TestTrimEmail(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ada@example.com", models.TrimEmail(" \t\r\n ada@example.com \n"))
	require.Equal(t, "a da", models.TrimEmail(" a da "))
	require.Empty(t, models.TrimEmail("  "))
}

// FuzzValidEmail holds what is accepted to what must be true of it.
func FuzzValidEmail(f *testing.F) {
	for _, seed := range []string{
		"ada@example.com", "a@b.c", `"a b"@c.de`, "a@-b.co", "a..b@c.de", "ada@exämple.com", " ada@example.com", "a@b@c.de", "a@[::1]", "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		canonical := models.CanonicalEmail(address)
		require.Equal(t, canonical, models.CanonicalEmail(canonical))
		if !models.ValidEmail(address) {
			return
		}
		require.LessOrEqual(t, len(address), 254)
		require.Equal(t, address, models.TrimEmail(address))
		require.Equal(t, 1, strings.Count(address, "@"))
		require.Equal(t, -1, strings.IndexFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7f }), "%q", address)
		require.Equal(t, strings.ToLower(address), canonical, "in ASCII there is but one lower case")
		require.True(t, models.ValidEmail(canonical))
		parsed, err := mail.ParseAddress(address)
		require.NoError(t, err, "the standard library takes more than we do, and so this: %q", address)
		require.Equal(t, address, parsed.Address)
	})
}

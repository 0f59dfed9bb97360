package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"multitenant/backups/archive"
)

const owner = "core/acme"

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return identity
}

// writeTable writes lines in pieces of any length.
func writeTable(t *testing.T, a *archive.Writer, table string, lines []string) {
	t.Helper()
	err := a.Table(table, func(w io.Writer) (int64, error) {
		for piece := range slices.Chunk([]byte(strings.Join(lines, "")), 1+rand.IntN(70_000)) {
			if _, err := w.Write(piece); err != nil {
				return 0, err
			}
		}
		return int64(len(lines)), nil
	})
	require.NoError(t, err)
}

// write makes an archive with each sort of part.
func write(t *testing.T, lines []string, recipients ...age.Recipient) []byte {
	t.Helper()
	var sealed bytes.Buffer
	a, err := archive.NewWriter(&sealed, owner, time.Now(), recipients)
	require.NoError(t, err)
	require.NoError(t, a.JSON("schema.json", map[string]string{"engine": "any"}))
	writeTable(t, a, "empty", nil)
	writeTable(t, a, "users", lines)
	writeTable(t, a, "a/b c", []string{"1\n"})
	require.NoError(t, a.File("database.db", 5, strings.NewReader("12345")))
	require.NoError(t, a.Stream("dump", ".pgc", func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Repeat(strings.Join(lines, ""), 2))
		return err
	}))
	require.NoError(t, a.Close())
	return sealed.Bytes()
}

// manyLines are more than two chunks of lines that do not compress well.
func manyLines() []string {
	lines := make([]string, 110_000)
	for i := range lines {
		lines[i] = fmt.Sprintf("%d\t%x\t\\N\n", i, rand.Uint64())
	}
	return lines
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	identity, other := newIdentity(t), newIdentity(t)
	for name, tc := range map[string]struct {
		recipients []age.Recipient
		identities []age.Identity
	}{
		"plain":             {},
		"encrypted":         {[]age.Recipient{identity.Recipient()}, []age.Identity{identity}},
		"to two":            {[]age.Recipient{other.Recipient(), identity.Recipient()}, []age.Identity{identity}},
		"with a second key": {[]age.Recipient{identity.Recipient()}, []age.Identity{other, identity}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := manyLines()

			manifest, err := archive.Read(bytes.NewReader(write(t, lines, tc.recipients...)), owner, tc.identities, archive.Discard{})

			require.NoError(t, err)
			rows := map[string]int64{}
			for _, part := range manifest.Parts {
				if part.Rows != nil {
					rows[part.Name] = *part.Rows
				}
			}
			require.Equal(t, map[string]int64{
				archive.TableName("empty"): 0, archive.TableName("users"): int64(len(lines)), archive.TableName("a/b c"): 1,
			}, rows)
			require.Equal(t, "schema.json", manifest.Parts[0].Name)
		})
	}
}

// The sum of the rows is the same in any order, and the hash of the stream is not.
func TestRowSumDoesNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	sums := func(lines []string) archive.Part {
		manifest, err := archive.Read(bytes.NewReader(write(t, lines)), owner, nil, archive.Discard{})
		require.NoError(t, err)
		return manifest.Parts[2]
	}
	lines := manyLines()[:1000]
	before := sums(lines)
	slices.Reverse(lines)
	after := sums(lines)

	require.Equal(t, before.RowSum, after.RowSum)
	require.NotEqual(t, before.SHA256, after.SHA256)
	lines[0] = "changed\n"
	require.NotEqual(t, before.RowSum, sums(lines).RowSum)
}

func TestWriterRefusesWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	begin := func() *archive.Writer {
		a, err := archive.NewWriter(io.Discard, owner, time.Now(), nil)
		require.NoError(t, err)
		return a
	}
	for _, text := range []string{"one\n", "one\ntwo\nthree\n", "one\ntwo"} {
		err := begin().Table("users", func(w io.Writer) (int64, error) {
			_, err := io.WriteString(w, text)
			return 2, err
		})
		require.ErrorContains(t, err, "for 2 rows", text)
	}
	require.Error(t, begin().File("database.db", 6, strings.NewReader("12345")))
	require.Error(t, begin().File("database.db", 4, strings.NewReader("12345")))
}

// Every cut is found, and every changed byte of an encrypted archive.
func TestVerifyFindsEveryCutAndChange(t *testing.T) {
	t.Parallel()
	identity := newIdentity(t)
	lines := manyLines()[:50]
	for name, tc := range map[string]struct {
		recipients []age.Recipient
		identities []age.Identity
	}{
		"plain":     {},
		"encrypted": {[]age.Recipient{identity.Recipient()}, []age.Identity{identity}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := write(t, lines, tc.recipients...)
			want, err := archive.Read(bytes.NewReader(whole), owner, tc.identities, archive.Discard{})
			require.NoError(t, err)
			for at := range whole {
				_, err := archive.Read(bytes.NewReader(whole[:at]), owner, tc.identities, archive.Discard{})
				require.ErrorIs(t, err, archive.ErrDamaged, "cut at %d", at)
				changed := bytes.Clone(whole)
				changed[at] ^= 1 << (at % 8)
				got, err := archive.Read(bytes.NewReader(changed), owner, tc.identities, archive.Discard{})
				if len(tc.identities) == 0 && err == nil { // a bit that means nothing: what was read is the same
					require.Equal(t, want, got, "changed at %d", at)
					continue
				}
				require.ErrorIs(t, err, archive.ErrDamaged, "changed at %d", at)
			}
			_, err = archive.Read(bytes.NewReader(append(bytes.Clone(whole), whole...)), owner, tc.identities, archive.Discard{})
			require.ErrorIs(t, err, archive.ErrDamaged, "twice")
		})
	}
}

// rewrite changes the members of a plain archive.
func rewrite(t *testing.T, sealed []byte, change func(name string, content []byte) (string, []byte, bool)) []byte {
	t.Helper()
	decoder, err := zstd.NewReader(bytes.NewReader(sealed))
	require.NoError(t, err)
	defer decoder.Close()
	var changed bytes.Buffer
	encoder, err := zstd.NewWriter(&changed)
	require.NoError(t, err)
	from, to := tar.NewReader(decoder), tar.NewWriter(encoder)
	for {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		content, err := io.ReadAll(from)
		require.NoError(t, err)
		name, content, keep := change(header.Name, content)
		if !keep {
			continue
		}
		require.NoError(t, to.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o600}))
		_, err = to.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, errors.Join(to.Close(), encoder.Close()))
	return changed.Bytes()
}

// Archives that are sound to zstd and tar, and are not what was written.
func TestVerifyFindsWhatIsMissingOrExchanged(t *testing.T) {
	t.Parallel()
	whole := write(t, manyLines())
	same := func(name string, content []byte) (string, []byte, bool) { return name, content, true }
	_, err := archive.Read(bytes.NewReader(rewrite(t, whole, same)), owner, nil, archive.Discard{})
	require.NoError(t, err)
	without := func(missing string) func(string, []byte) (string, []byte, bool) {
		return func(name string, content []byte) (string, []byte, bool) { return name, content, name != missing }
	}
	for name, change := range map[string]func(string, []byte) (string, []byte, bool){
		"first chunk":  without("tables/users/000000.copy"),
		"middle chunk": without("tables/users/000001.copy"),
		"last chunk":   without("tables/users/000002.copy"),
		"manifest":     without("manifest.json"),
		"schema":       without("schema.json"),
		"database":     without("database.db"),
		"first piece":  without("dump/000000.pgc"),
		"last piece":   without("dump/000001.pgc"),
		"another row": func(name string, content []byte) (string, []byte, bool) {
			return name, bytes.Replace(content, []byte("12345"), []byte("12346"), 1), true
		},
		"another format": func(name string, content []byte) (string, []byte, bool) {
			return name, bytes.Replace(content, []byte(`{"format":1`), []byte(`{"format":2`), 1), true
		},
		"another name": func(name string, content []byte) (string, []byte, bool) {
			return strings.Replace(name, "users", "hosts", 1), content, true
		},
	} {
		_, err := archive.Read(bytes.NewReader(rewrite(t, whole, change)), owner, nil, archive.Discard{})
		require.ErrorIs(t, err, archive.ErrDamaged, name)
	}
}

func TestVerifyRefusesAnotherOwnerOrIdentity(t *testing.T) {
	t.Parallel()
	identity := newIdentity(t)
	sealed := write(t, []string{"1\n"}, identity.Recipient())
	for name, tc := range map[string]struct {
		owner      string
		identities []age.Identity
	}{
		"another owner":    {"core/globex", []age.Identity{identity}},
		"another identity": {owner, []age.Identity{newIdentity(t)}},
		"no identity":      {owner, nil},
	} {
		_, err := archive.Read(bytes.NewReader(sealed), tc.owner, tc.identities, archive.Discard{})
		require.ErrorIs(t, err, archive.ErrDamaged, name)
	}
	_, err := archive.Read(bytes.NewReader(write(t, nil)), owner, []age.Identity{identity}, archive.Discard{})
	require.ErrorIs(t, err, archive.ErrDamaged, "a plain archive where an encrypted one is expected")
}

// An error of the place where the archive is kept is no damage.
func TestVerifyTellsFaultsOfTheSourceApart(t *testing.T) {
	t.Parallel()
	whole := write(t, nil)
	broken := errors.New("the disk is gone")
	source := io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), &failing{broken})

	_, err := archive.Read(source, owner, nil, archive.Discard{})

	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, archive.ErrDamaged)
}

type failing struct{ err error }

// Read fails.
func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzVerify(f *testing.F) {
	var whole bytes.Buffer
	a, err := archive.NewWriter(&whole, owner, time.Now(), nil)
	require.NoError(f, err)
	require.NoError(f, a.JSON("schema.json", 1))
	require.NoError(f, a.Close())
	f.Add(whole.Bytes())
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := archive.Read(bytes.NewReader(text), owner, nil, archive.Discard{}); err != nil {
			require.ErrorIs(t, err, archive.ErrDamaged)
		}
	})
}

package config

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/joho/godotenv"
)

// files lists the settings files; an earlier one wins over a later one.
func files() []string {
	return []string{".env.local", ".env"}
}

// merge returns the settings' texts by name, from the environment and the files.
func merge(environ map[string]string, dir string, wrong mistakes) map[string]string {
	merged := map[string]string{}
	for _, file := range slices.Backward(files()) {
		values, err := readFile(filepath.Join(dir, file))
		wrong.add(file, err)
		maps.Copy(merged, known(values))
	}
	maps.Copy(merged, known(environ))
	return merged
}

// known picks the settings out of one source and spells their names in upper case.
func known(values map[string]string) map[string]string {
	// The names that the Python original read, which did so in any case.
	original := []string{"DATABASE_URL", "JWT_SECRET_KEY", "JWT_ALGORITHM", "JWT_ACCESS_TOKEN_EXPIRE_MINUTES"}

	found := map[string]string{}
	for _, name := range Names() {
		if value, ok := values[strings.ToLower(name)]; ok && slices.Contains(original, name) {
			found[name] = value
		}
		if value, ok := values[name]; ok {
			found[name] = value
		}
	}
	return found
}

// readFile returns the values in a settings file; a file that is not there has none.
func readFile(path string) (map[string]string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the caller names one of files
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, errors.New("cannot be read")
	}
	return parseFile(text)
}

// parseFile reads the values as they stand: godotenv would replace what follows
// a dollar sign, and so change a password that has one, without a word.
func parseFile(text []byte) (map[string]string, error) {
	const dollar = "\x00" // stands for it while godotenv looks
	if bytes.Contains(text, []byte(dollar)) {
		return nil, errors.New("is not a text file")
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	text = bytes.ReplaceAll(text, []byte("$"), []byte(dollar))

	values, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		return nil, reason(err)
	}
	if _, found := values[""]; found {
		return nil, errors.New("has a line without a name or an equals sign")
	}
	for name, value := range values {
		values[name] = strings.ReplaceAll(value, dollar, "$")
	}
	return values, nil
}

// reason retells godotenv's error, which quotes the file from there to its end.
func reason(err error) error {
	if strings.HasPrefix(err.Error(), "unterminated quoted value") {
		return errors.New("has a quoted value without a closing quote")
	}
	return errors.New("has a line that is not NAME=value")
}

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/joho/godotenv"
)

// The settings files, in the working directory. The first wins over the second, which
// is committed and the same for all who have the program.
const (
	ownFile    = ".env.local"
	sharedFile = ".env"
)

// merge returns the settings' texts by name, from the environment and the files, and
// warnings about names and values that it does not use.
func merge(environ map[string]string, dir string, wrong mistakes) (merged map[string]string, warnings []string) {
	own, warnings := readSettings(dir, ownFile, wrong)
	maps.Copy(own, known(environ))
	shared, unknown := readSettings(dir, sharedFile, wrong)
	warnings = append(warnings, unknown...)
	if loose := dropLoose(shared, own); len(loose) > 0 {
		warnings = append(warnings, fmt.Sprintf("%s is for a program that listens on loopback: "+
			"its value does not count for %s", sharedFile, strings.Join(loose, ", ")))
	}
	maps.Copy(shared, own)
	return shared, warnings
}

// readSettings returns the settings in a file, and a warning where it has other names.
func readSettings(dir, file string, wrong mistakes) (found map[string]string, warnings []string) {
	values, err := readFile(filepath.Join(dir, file))
	wrong.add(file, err)
	unknown, isHidden, misspelt := unknownNames(values)
	wrong.add(file, misspelt)
	if len(unknown) > 0 {
		warnings = append(warnings, fmt.Sprintf("%s: no setting is called %s", file, strings.Join(unknown, ", ")))
	}
	if isHidden {
		warnings = append(warnings, file+": a line sets a name that is not in capitals, and no setting has such a name")
	}
	return known(values), warnings
}

// known picks the settings out of one source and spells their names in upper case.
func known(values map[string]string) map[string]string {
	found := map[string]string{}
	for _, name := range Names() {
		if value, ok := values[strings.ToLower(name)]; ok && slices.Contains(originals(), name) {
			found[name] = value
		}
		if value, ok := values[name]; ok {
			found[name] = value
		}
	}
	return found
}

// originals are the names that the Python original read, which did so in any case.
func originals() []string {
	return []string{"DATABASE_URL", "JWT_SECRET_KEY", "JWT_ALGORITHM", "JWT_ACCESS_TOKEN_EXPIRE_MINUTES"}
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

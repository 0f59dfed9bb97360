package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// nearly is how many letters a name may differ from a setting's and be taken for it,
// misspelt.
const nearly = 2

// unknownNames looks at the names in a settings file. Those that are nearly a setting's
// are a mistake: the setting would keep its default without a word. The others may be
// meant for another program; isHidden says that there are some which are not shown, since
// they are perhaps a part of a secret.
func unknownNames(values map[string]string) (unknown []string, isHidden bool, misspelt error) {
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		meant := nearest(name)
		switch {
		case name == meant, name == strings.ToLower(meant) && slices.Contains(originals(), meant):
		case meant != "":
			wrong = append(wrong, fmt.Sprintf("%s (it is spelt %s)", name, meant))
		case !isName(name):
			isHidden = true // perhaps the second line of a secret
		default:
			unknown = append(unknown, name)
		}
	}
	if len(wrong) > 0 {
		return unknown, isHidden, fmt.Errorf("misspells %s", strings.Join(wrong, ", "))
	}
	return unknown, isHidden, nil
}

// isName reports whether a name is in capitals, as those of settings are.
func isName(name string) bool {
	return strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == ""
}

// nearest returns the setting whose name is the nearest, in upper case, or "" where
// none is near.
func nearest(name string) (meant string) {
	least := nearly + 1
	for _, setting := range Names() {
		if d := distance(strings.ToUpper(name), setting); d < least {
			meant, least = setting, d
		}
	}
	return meant
}

// distance is how many letters must be put in, left out or replaced to turn one word
// into the other (Levenshtein).
func distance(from, to string) int {
	row := make([]int, len(to)+1) // the distances of a start of from to all starts of to
	for j := range row {
		row[j] = j
	}
	for i := range len(from) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(to) {
			replaced := diagonal
			if from[i] != to[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}

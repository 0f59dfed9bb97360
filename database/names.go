package database

import "fmt"

// maxNameBytes is where PostgreSQL cuts names. Two longer names with the same start
// would be one database.
const maxNameBytes = 63

// CheckName returns ErrName for a name that is not the same to both engines, to
// every file system and inside quotes.
func CheckName(name string) error {
	if name == "" || len(name) > maxNameBytes || name[0] == '-' {
		return fmt.Errorf("%w: %.80q", ErrName, name)
	}
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return fmt.Errorf("%w: %q", ErrName, name)
		}
	}
	return nil
}

func isNameByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_' || b == '-'
}

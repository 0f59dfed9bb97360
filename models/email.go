package models

import "strings"

const (
	maxEmailBytes     = 254 // RFC 5321, section 4.5.3.1.3, less the angle brackets
	maxLocalPartBytes = 64  // RFC 5321, section 4.5.3.1.1
	maxLabelBytes     = 63  // RFC 1035, section 2.3.4
	localPartSymbols  = "!#$%&'*+-/=?^_`{|}~"
)

// TrimEmail returns the address without the spaces around it.
func TrimEmail(raw string) string {
	return strings.TrimSpace(raw)
}

// ValidEmail reports whether address may be registered: an unquoted dot-atom of
// at most 64 bytes (RFC 5322, section 3.2.3), an @, and two or more labels of
// letters, digits and inner hyphens; ASCII only, 254 bytes in all.
func ValidEmail(address string) bool {
	local, domain, found := strings.Cut(address, "@")
	if !found || len(address) > maxEmailBytes || len(local) > maxLocalPartBytes {
		return false
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.IndexFunc(atom, isNotAtomText) >= 0 {
			return false
		}
	}
	labels := 0
	for label := range strings.SplitSeq(domain, ".") {
		if !validLabel(label) {
			return false
		}
		labels++
	}
	return labels >= 2
}

// CanonicalEmail returns the form in which addresses are compared: ASCII
// letters in lower case and nothing else changed. Unicode folding would merge
// addresses that are different.
func CanonicalEmail(address string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, address)
}

func isNotAtomText(r rune) bool {
	return !isAlphanumeric(r) && !strings.ContainsRune(localPartSymbols, r)
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func validLabel(label string) bool {
	if label == "" || len(label) > maxLabelBytes || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return strings.IndexFunc(label, func(r rune) bool { return !isAlphanumeric(r) && r != '-' }) < 0
}

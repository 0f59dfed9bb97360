package limits

// Size counts what is remembered.
func (l *Limits) Size() int {
	return l.logins.bucket.size() + l.registrations.bucket.size() + l.tenants.bucket.size() + l.passwords.bucket.size() + l.writes.bucket.size() + l.allWrites.bucket.size() +

		l.guesses.byOwn.size() + l.guesses.byAll.size()
}

// MaxEntries bounds what is remembered of one kind.
const MaxEntries = maxEntries

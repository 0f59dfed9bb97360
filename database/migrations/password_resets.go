package migrations

// passwordResets202611251310 is what the two tables of pending password resets
// have in common. A user has one at most. No token is in them, only hashes.
func passwordResets202611251310(name, users string) table {
	const notNull, key = " NOT NULL", " PRIMARY KEY"
	return table{
		name: name,
		columns: []column{
			{"id", "bigserial" + key, "integer" + key + " AUTOINCREMENT"},
			same("user_id", "integer NOT NULL REFERENCES "+users+" (id) ON DELETE CASCADE"),
			same("token_hash", "varchar NOT NULL"),
			{createdAt, "timestamptz" + notNull, "datetime" + notNull},
			{expiresAt, "timestamptz" + notNull, "datetime" + notNull},
		},
		indexes: []index{{"user_id", true}, {"token_hash", true}},
	}
}

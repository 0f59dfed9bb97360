package migrations

// passwordResets202611251310 is the table of pending password resets, at the core and
// in a tenant. A user has one at most. It holds hashes of tokens, never the tokens.
func passwordResets202611251310(users string) table {
	const notNull, key = " NOT NULL", " PRIMARY KEY"
	return table{
		name: "password_resets",
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

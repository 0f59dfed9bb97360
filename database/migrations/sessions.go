package migrations

// sessions202611251000 is the table of sessions, at the core and in a tenant. It
// holds hashes of refresh tokens, never the tokens. No id is used twice.
func sessions202611251000(users string) table {
	const notNull, key = " NOT NULL", " PRIMARY KEY"
	return table{
		name: "sessions",
		columns: []column{
			{"id", "bigserial" + key, "integer" + key + " AUTOINCREMENT"},
			same("user_id", "integer NOT NULL REFERENCES "+users+" (id) ON DELETE CASCADE"),
			{"epoch", "bigint" + notNull, "integer" + notNull},
			same("family_hash", "varchar NOT NULL"),
			same("token_hash", "varchar NOT NULL"),
			same("previous_hash", "varchar NOT NULL"),
			same("salt", "varchar NOT NULL"),
			same("ip", "varchar NOT NULL"),
			same("user_agent", "varchar NOT NULL"),
			{createdAt, "timestamptz" + notNull, "datetime" + notNull},
			{"last_used_at", "timestamptz" + notNull, "datetime" + notNull},
			{expiresAt, "timestamptz" + notNull, "datetime" + notNull},
		},
		indexes: []index{{"user_id", false}},
	}
}

package migrations

// sessions202611251000 is what the two tables of sessions have in common. No
// refresh token is in them, only hashes. The ids are never used again.
func sessions202611251000(name, users string) table {
	const notNull, key = " NOT NULL", " PRIMARY KEY"
	return table{
		name: name,
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

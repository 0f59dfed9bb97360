package database

import "strings"

// CutHosts cuts the hosts out of a URL of PostgreSQL. They are apart from each other by
// commas, which package net/url does not know.
func CutHosts(raw string) (before, hosts, after string) {
	begin := strings.Index(raw, "://")
	if begin < 0 {
		return raw, "", ""
	}
	begin += len("://")
	end := len(raw)
	if length := strings.IndexAny(raw[begin:], "/?#"); length >= 0 {
		end = begin + length
	}
	begin += strings.LastIndex(raw[begin:end], "@") + 1
	return raw[:begin], raw[begin:end], raw[end:]
}

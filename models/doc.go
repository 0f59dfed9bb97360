// Package models holds the records of the application, the rules they obey and
// the queries that read and write them. A query takes the context and the
// connection it runs on, so it composes in a transaction and cannot choose a
// database by itself.
package models

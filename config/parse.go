package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// mistakes holds what is wrong, by the name of the setting or the file. A reason
// never repeats a value: it might be a secret, or one pasted into the wrong line.
type mistakes map[string]error

// add notes a mistake; of several about one name the first tells the most.
func (m mistakes) add(name string, err error) {
	if err != nil && m[name] == nil {
		m[name] = err
	}
}

// join returns all mistakes as one error, files first and then the settings in
// their order; nil if there are none.
func (m mistakes) join() error {
	var all []error
	for _, name := range append([]string{ownFile, sharedFile}, Names()...) {
		if err := m[name]; err != nil {
			all = append(all, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(all...)
}

// list is a setting with several values between commas.
type list []string

// UnmarshalText splits the values; spaces around them and a comma too many do no harm.
func (l *list) UnmarshalText(text []byte) error {
	for value := range strings.SplitSeq(string(text), ",") {
		if value = strings.TrimSpace(value); value != "" {
			*l = append(*l, value)
		}
	}
	return nil
}

// parse fills the settings from their texts; what is not there, or empty, gets
// its default.
func parse(texts map[string]string, wrong mistakes) *settings {
	var s settings
	err := env.ParseWithOptions(&s, env.Options{Environment: texts})

	all, _ := errors.AsType[env.AggregateError](err)
	for _, err := range all.Errors {
		if failed, ok := errors.AsType[env.ParseError](err); ok {
			wrong.add(nameOf(failed.Name), notA(failed.Type.Kind()))
		}
	}
	return &s
}

// nameOf returns the name of the setting that a field of settings holds.
func nameOf(field string) string {
	f, _ := reflect.TypeFor[settings]().FieldByName(field)
	return f.Tag.Get("env")
}

// notA stands in for the parser's own reason, which quotes the value.
func notA(kind reflect.Kind) error {
	if kind == reflect.Bool {
		return errors.New("must be true or false")
	}
	return errors.New("must be a whole number")
}

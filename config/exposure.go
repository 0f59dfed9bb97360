package config

import (
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
)

// warnings returns sentences about valid settings that an operator may not have meant.
func (s *settings) warnings() []string {
	if s.TenantAutoCreate && !isLoopback(s.HTTPAddr) {
		return []string{"TENANT_AUTO_CREATE is on and HTTP_ADDR is not loopback: " +
			"all who reach it can make tenants, each with a database"}
	}
	return nil
}

// dropLoose removes from the shared file's settings those that suit a developer's
// machine alone, where others reach the server, and returns their names. The settings
// in own come from elsewhere and win over them.
func dropLoose(shared, own map[string]string) (dropped []string) {
	address := shared["HTTP_ADDR"]
	if set, ok := own["HTTP_ADDR"]; ok {
		address = set
	}
	if address == "" || isLoopback(address) {
		return nil
	}
	for field := range reflect.TypeFor[settings]().Fields() {
		name := field.Tag.Get("env")
		value, set := shared[name]
		_, overridden := own[name]
		if set && !overridden && isGuard(name) && looser(value, field.Tag.Get("envDefault")) {
			delete(shared, name)
			dropped = append(dropped, name)
		}
	}
	return dropped
}

// isGuard reports whether the setting protects a server that others reach.
func isGuard(name string) bool {
	return strings.HasPrefix(name, "RATE_LIMIT_") || name == "PASSWORD_BLOCKLIST"
}

// looser reports whether a guard's value protects less than its default: a greater
// limit, or none.
func looser(value, usual string) bool {
	if limit, err := strconv.Atoi(usual); err == nil {
		chosen, err := strconv.Atoi(value)
		return err == nil && chosen > limit
	}
	on, err := strconv.ParseBool(value)
	return err == nil && !on
}

// isLoopback reports whether only this machine reaches the address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

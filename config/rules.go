package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"multitenant/auth"
	"multitenant/database"
	"multitenant/models"
)

const (
	// PostgreSQL's own limit of max_connections.
	maxConnections = 262_143

	// A token that is good for longer than a year is a password.
	maxTokenMinutes = 365 * 24 * 60

	maxRefreshDays = 365
	maxSessionDays = 365

	// More would be of no use: one takes a fraction of a second.
	maxSpares = 1000

	maxSlugRestDays     = 3650
	maxAuditKeepDays    = 3650
	maxKeepReplacedDays = 3650

	// A prefix and a slug of 40 bytes stay within PostgreSQL's 63.
	maxPrefixBytes = 20

	// More than any installation needs; 0 is no limit to some and nothing to others,
	// so it is neither.
	maxRate = 1_000_000
)

// check applies the rule of every setting but the URLs and JWT_SECRET_KEY.
func (s *settings) check(wrong mistakes) {
	wrong.add("DATABASE_MAX_CONNECTIONS", checkRange(s.DatabaseMaxConnections, database.MinConnections, maxConnections))
	wrong.add("TENANT_CONNECTION_LIMIT", checkRange(s.TenantConnections, 1, maxConnections))
	wrong.add("HTTP_ADDR", checkAddress(s.HTTPAddr))
	wrong.add("METRICS_ADDR", s.checkMetricsAddress())
	wrong.add("JWT_PREVIOUS_SECRET_KEYS", s.checkPreviousSecrets())
	wrong.add("JWT_ALGORITHM", checkChoice(s.JWTAlgorithm, auth.Algorithms()))
	wrong.add("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", checkRange(s.JWTMinutes, 1, maxTokenMinutes))
	wrong.add("JWT_REFRESH_TOKEN_EXPIRE_DAYS", checkRange(s.JWTRefreshDays, 1, maxRefreshDays))
	wrong.add("JWT_SESSION_EXPIRE_DAYS", checkRange(s.JWTSessionDays, 1, maxSessionDays))
	wrong.add("BCRYPT_COST", checkRange(s.BcryptCost, auth.MinCost, auth.MaxCost))
	wrong.add("CORE_REGISTRATION", checkChoice(s.CoreRegistration, []string{string(models.RegistrationOpen), string(models.RegistrationClosed)}))
	wrong.add("TENANT_SPARES", checkRange(s.TenantSpares, 0, maxSpares))
	wrong.add("TENANT_SLUG_REST_DAYS", checkRange(s.TenantSlugRestDays, 0, maxSlugRestDays))
	wrong.add("AUDIT_KEEP_DAYS", checkRange(s.AuditKeepDays, 0, maxAuditKeepDays))
	wrong.add("KEEP_REPLACED", checkRange(s.KeepReplaced, 0, maxKeepReplacedDays))
	wrong.add("TENANT_DATABASE_PREFIX", checkPrefix(s.TenantDatabasePrefix))
	wrong.add("CORS_ALLOWED_ORIGINS", checkEach(s.CORSAllowedOrigins, checkOrigin))
	wrong.add("TRUSTED_PROXIES", checkEach(s.TrustedProxies, checkProxy))
	s.checkLimits(wrong)
	s.checkBackups(wrong)
	wrong.add("LOG_LEVEL", checkChoice(s.LogLevel, []string{"debug", "info", "warn", "error"}))
	wrong.add("LOG_FORMAT", checkChoice(s.LogFormat, []string{"text", "json"}))
}

func (s *settings) checkLimits(wrong mistakes) {
	for name, value := range map[string]int{
		"RATE_LIMIT_LOGINS_PER_MINUTE":        s.Logins,
		"RATE_LIMIT_REGISTRATIONS_PER_HOUR":   s.Registrations,
		"RATE_LIMIT_TENANTS_PER_HOUR":         s.NewTenants,
		"RATE_LIMIT_ALL_TENANTS_PER_HOUR":     s.AllNewTenants,
		"RATE_LIMIT_ORGANIZATIONS_PER_USER":   s.Organizations,
		"RATE_LIMIT_PASSWORDS_PER_MINUTE":     s.Passwords,
		"RATE_LIMIT_WRITES_PER_MINUTE":        s.Writes,
		"RATE_LIMIT_TENANT_WRITES_PER_MINUTE": s.AllWrites,
		"RATE_LIMIT_GUESSES":                  s.Guesses,
		"RATE_LIMIT_ALL_GUESSES":              s.AllGuesses,
	} {
		wrong.add(name, checkRange(value, 1, maxRate))
	}
}

func logLevels() map[string]slog.Level {
	return map[string]slog.Level{
		"debug": slog.LevelDebug,
		"info":  slog.LevelInfo,
		"warn":  slog.LevelWarn,
		"error": slog.LevelError,
	}
}

func checkRange(value, least, most int) error {
	if value < least || value > most {
		return fmt.Errorf("must be between %d and %d", least, most)
	}
	return nil
}

func checkChoice(value string, choices []string) error {
	if !slices.Contains(choices, value) {
		return errors.New("must be one of " + strings.Join(choices, ", "))
	}
	return nil
}

// checkEach names the value that breaks the rule by its place in the list.
func checkEach(values list, check func(string) error) error {
	for i, value := range values {
		if err := check(value); err != nil {
			return fmt.Errorf("value %d %w", i+1, err)
		}
	}
	return nil
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("must be host:port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("must be host:port with a port between 0 and 65535")
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return nil
	}
	if !regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`).MatchString(host) {
		return errors.New("must be host:port with a host name or an IP address, in brackets if it is IPv6")
	}
	return nil
}

// checkMetricsAddress keeps the metrics off the API's address: they are not for
// its callers. Port 0 is another each time.
func (s *settings) checkMetricsAddress() error {
	if s.MetricsAddr == "" {
		return nil
	}
	if err := checkAddress(s.MetricsAddr); err != nil {
		return err
	}
	if s.MetricsAddr == s.HTTPAddr && !strings.HasSuffix(s.MetricsAddr, ":0") {
		return errors.New("must not be HTTP_ADDR")
	}
	return nil
}

// checkPrefix keeps two underscores for the databases of the service's own,
// which no tenant's name can then be.
func checkPrefix(prefix string) error {
	if !regexp.MustCompile(`^[a-z]([a-z0-9]|_[a-z0-9])*_$`).MatchString(prefix) {
		return errors.New("must be lower-case letters, digits and single underscores, begin with a letter and end in an underscore")
	}
	if len(prefix) > maxPrefixBytes {
		return fmt.Errorf("must have at most %d bytes", maxPrefixBytes)
	}
	return nil
}

// checkOrigin wants the very text that a browser sends, since it is compared as text.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") ||
		origin != u.Scheme+"://"+u.Host || origin != strings.ToLower(origin) || strings.Contains(origin, "*") {
		return errors.New("must be an origin: http or https, a host in lower case, maybe a port, nothing after it, no *")
	}
	if port := u.Port(); u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" ||
		strings.HasSuffix(origin, ":") {
		return errors.New("must be an origin without its default port: browsers leave it out")
	}
	return nil
}

func checkProxy(proxy string) error {
	if address, err := netip.ParseAddr(proxy); err == nil && address.Zone() == "" {
		return nil
	}
	if _, err := netip.ParsePrefix(proxy); err != nil {
		return errors.New("must be an IP address or a range such as 10.0.0.0/8")
	}
	return nil
}

package auth

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"multitenant/models"
)

// Realm says what kind of user a token speaks for.
type Realm string

const (
	// RealmCore is the realm of core users, who own organizations.
	RealmCore Realm = "core"
	// RealmTenant is the realm of the users inside one tenant.
	RealmTenant Realm = "tenant"
)

// Ids are int4 in the databases: no user has a greater one.
const maxUserID = math.MaxInt32

// The length of a UUID with its hyphens and nothing around it.
const uuidBytes = 36

// The last second of the year 9999, the last that ISO 8601 can write.
const maxSeconds = 253402300799

// The causes of a refusal that golang-jwt does not know.
var (
	errTokenTooLong   = errors.New("token is too long")
	errTokenLines     = errors.New("token has a line break")
	errCriticalHeader = errors.New("token has a crit header")
	errUserID         = errors.New("user_id is not a positive integer")
	errContext        = errors.New("context is neither core nor tenant")
	errCoreTenant     = errors.New("core token names a tenant")
	errTenant         = errors.New("tenant token names no tenant")
	errTenantID       = errors.New("tid is not a UUID")
	errSessionID      = errors.New("sid is not a positive integer")
	errFamily         = errors.New("fam is missing")
	errParent         = errors.New("psid and pfam name no core session")
	errID             = errors.New("jti is missing")
	errIssuedAt       = errors.New("iat is missing")
	errTime           = errors.New("time is out of range")
)

// Claims is what a token says.
type Claims struct {
	UserID int64
	Realm  Realm
	// Tenant is the tenant's slug, empty in the core realm.
	Tenant string
	// TenantID is the tenant's immutable id, a lower-case UUID, empty in the core realm.
	TenantID string
	// Session is the session that the token comes from, and ends with.
	Session models.SessionKey
	// Parent is the core session that made Session, which also ends with it; zero for a
	// session that began with a password.
	Parent    models.SessionKey
	ID        string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// wireClaims is Claims as the token spells them. The types are stricter than
// golang-jwt's own, whose NumericDate takes "123" for a number.
type wireClaims struct {
	UserID    int64    `json:"user_id"`
	Context   Realm    `json:"context"`
	Tenant    string   `json:"tenant,omitempty"`
	TenantID  string   `json:"tid,omitempty"`
	SessionID int64    `json:"sid"`
	Family    string   `json:"fam"`
	ParentID  int64    `json:"psid,omitempty"`
	Parent    string   `json:"pfam,omitempty"`
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
	ID        string   `json:"jti"`
	IssuedAt  *float64 `json:"iat"`
	NotBefore *float64 `json:"nbf,omitempty"`
	ExpiresAt *float64 `json:"exp"`
}

func newWireClaims(c Claims, issuedBy string) *wireClaims {
	issued, expires := float64(c.IssuedAt.Unix()), float64(c.ExpiresAt.Unix())
	return &wireClaims{
		UserID:    c.UserID,
		Context:   c.Realm,
		Tenant:    c.Tenant,
		TenantID:  c.TenantID,
		SessionID: c.Session.ID,
		Family:    c.Session.FamilyHash,
		ParentID:  c.Parent.ID,
		Parent:    c.Parent.FamilyHash,
		Issuer:    issuedBy,
		Audience:  audience,
		ID:        c.ID,
		IssuedAt:  &issued,
		ExpiresAt: &expires,
	}
}

// claims may be called only once the parser has found iat and exp to be there.
func (w *wireClaims) claims() Claims {
	return Claims{
		UserID:    w.UserID,
		Realm:     w.Context,
		Tenant:    w.Tenant,
		TenantID:  w.TenantID,
		Session:   models.SessionKey{ID: w.SessionID, FamilyHash: w.Family},
		Parent:    models.SessionKey{ID: w.ParentID, FamilyHash: w.Parent},
		ID:        w.ID,
		IssuedAt:  time.Unix(int64(*w.IssuedAt), 0).UTC(),
		ExpiresAt: time.Unix(int64(*w.ExpiresAt), 0).UTC(),
	}
}

// Validate checks the claims that are ours; the parser calls it after its own checks.
func (w *wireClaims) Validate() error {
	if w.UserID < 1 || w.UserID > maxUserID {
		return errUserID
	}
	if w.SessionID < 1 {
		return errSessionID
	}
	if w.Family == "" {
		return errFamily
	}
	if w.ParentID < 0 || (w.ParentID == 0) != (w.Parent == "") {
		return errParent
	}
	if w.ID == "" {
		return errID
	}
	if w.IssuedAt == nil {
		return errIssuedAt
	}
	return w.validateTenant()
}

func (w *wireClaims) validateTenant() error {
	switch w.Context {
	case RealmCore:
		if w.Tenant != "" || w.TenantID != "" {
			return errCoreTenant
		}
		if w.ParentID != 0 {
			return errParent
		}
		return nil
	case RealmTenant:
		if w.Tenant == "" {
			return errTenant
		}
		return validateTenantID(w.TenantID)
	default:
		return errContext
	}
}

// validateTenantID takes the canonical spelling alone: the id is a key, and two
// spellings of it would be two tenants.
func validateTenantID(id string) error {
	if len(id) != uuidBytes || id != strings.ToLower(id) || uuid.Validate(id) != nil {
		return errTenantID
	}
	return nil
}

// GetExpirationTime returns exp.
func (w *wireClaims) GetExpirationTime() (*jwt.NumericDate, error) {
	return numericDate(w.ExpiresAt)
}

// GetIssuedAt returns iat.
func (w *wireClaims) GetIssuedAt() (*jwt.NumericDate, error) {
	return numericDate(w.IssuedAt)
}

// GetNotBefore returns nbf.
func (w *wireClaims) GetNotBefore() (*jwt.NumericDate, error) {
	return numericDate(w.NotBefore)
}

// GetIssuer returns iss.
func (w *wireClaims) GetIssuer() (string, error) {
	return w.Issuer, nil
}

// GetSubject returns nothing: user_id is the subject.
func (w *wireClaims) GetSubject() (string, error) {
	return "", nil
}

// GetAudience returns aud.
func (w *wireClaims) GetAudience() (jwt.ClaimStrings, error) {
	return jwt.ClaimStrings{w.Audience}, nil
}

// numericDate refuses what would overflow on its way to a time.
func numericDate(seconds *float64) (*jwt.NumericDate, error) {
	if seconds == nil {
		return nil, nil //nolint:nilnil // golang-jwt's own way to say that a claim is absent
	}
	if *seconds < 0 || *seconds > maxSeconds {
		return nil, errTime
	}
	return &jwt.NumericDate{Time: time.Unix(int64(*seconds), 0)}, nil
}

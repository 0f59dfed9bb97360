package middleware

import (
	"cmp"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"multitenant/models"
)

// retryAfter is what a client is asked to wait after a 503, in seconds.
const retryAfter = "1"

// problem is the body of every error (RFC 9457).
type problem struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail"`
	Code      models.Kind  `json:"code"`
	RequestID string       `json:"request_id"`
	Errors    []fieldError `json:"errors,omitempty"`
}

type fieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
	Code    string `json:"code"`
}

func writeProblem(c *gin.Context, err *models.Error) {
	status := statusOf(err.Kind)
	body := problem{
		Type:      "about:blank",
		Title:     http.StatusText(status),
		Status:    status,
		Detail:    err.Message,
		Code:      codeOf(err),
		RequestID: requestID(c),
	}
	for _, field := range err.Fields {
		body.Errors = append(body.Errors, fieldError(field))
	}
	switch status {
	case http.StatusUnauthorized:
		c.Header("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		c.Header("Retry-After", retryAfter)
	case http.StatusTooManyRequests:
		c.Header("Retry-After", strconv.Itoa(wholeSeconds(err.RetryAfter)))
	}
	c.Header("Content-Type", "application/problem+json")
	c.JSON(status, body)
}

// codeOf is the code on the wire.
func codeOf(err *models.Error) models.Kind { return cmp.Or(err.Code, err.Kind) }

// wholeSeconds rounds up: who comes back then is not too early.
func wholeSeconds(wait time.Duration) int {
	return max(1, int(math.Ceil(wait.Seconds())))
}

// statusOf is the one place where a kind becomes a status.
func statusOf(kind models.Kind) int {
	switch kind {
	case models.KindEmailTaken, models.KindInvalidSlug, models.KindReservedSlug, models.KindSlugTaken, models.KindSlugResting, models.KindInvalidTenant,
		models.KindWrongPassword, models.KindInvalidResetToken:
		return http.StatusBadRequest
	case models.KindInvalidCredentials, models.KindInvalidToken:
		return http.StatusUnauthorized
	case models.KindNotAuthenticated, models.KindTenantSuspended,
		models.KindTenantTokenRequired, models.KindCoreTokenRequired, models.KindRoleRequired,
		models.KindCorePassword, models.KindInvalidInvitation, models.KindInvitationRequired, models.KindRegistrationClosed:
		return http.StatusForbidden
	case models.KindTenantNotFound, models.KindOrganizationNotFound, models.KindUserNotFound, models.KindSessionNotFound,
		models.KindInvitationNotFound, models.KindOperationNotFound, models.KindBackupNotFound,
		models.KindExportNotFound, models.KindNotFound:
		return http.StatusNotFound
	case models.KindLastOwner, models.KindOwnerEmailTaken, models.KindTooManyAliases,
		models.KindOperationRunning, models.KindBackupsOff, models.KindBackupIdentityMissing, models.KindBackupUnusable,
		models.KindConflict:
		return http.StatusConflict
	case models.KindExportExpired:
		return http.StatusGone
	case models.KindMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case models.KindRequestTimeout:
		return http.StatusRequestTimeout
	case models.KindBodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case models.KindUnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	case models.KindValidationFailed, models.KindMalformedBody:
		return http.StatusUnprocessableEntity
	case models.KindTooManyLogins, models.KindTooManyAttempts, models.KindTooManyRegistrations,
		models.KindTooManyTenants, models.KindTooManyOrganizations, models.KindTooManyBackups,
		models.KindTooManyExports, models.KindTooManyInvitations, models.KindTooManyRequests:
		return http.StatusTooManyRequests
	case models.KindTenantUnavailable, models.KindCoreUnavailable, models.KindBackupsUnavailable, models.KindBusy,
		models.KindTimeout:
		return http.StatusServiceUnavailable
	case models.KindInternal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

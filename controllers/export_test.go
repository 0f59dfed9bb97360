package controllers

import (
	"github.com/gin-gonic/gin"

	"multitenant/models"
)

// CheckBody binds and checks the body of the request as each of the handlers
// would that read one, and returns what each says.
func CheckBody(c *gin.Context, rewind func()) map[string]error {
	said := make(map[string]error)
	rewind()
	_, said["register"] = bindWith(c, func(r *registerRequest) error { return r.check(models.PasswordRules{}, "acme") })
	said["login"] = checkBody[loginRequest](c, rewind)
	said["create organization"] = checkBody[createOrganizationRequest](c, rewind)
	said["update organization"] = checkBody[updateOrganizationRequest](c, rewind)
	said["update core profile"] = checkBody[updateCoreProfileRequest](c, rewind)
	said["update tenant profile"] = checkBody[updateTenantProfileRequest](c, rewind)
	return said
}

func checkBody[T any, P interface {
	*T
	check() error
}](c *gin.Context, rewind func(),
) error {
	rewind()
	_, err := bindChecked[T, P](c)
	return err
}

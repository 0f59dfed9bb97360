package controllers

import "github.com/gin-gonic/gin"

// CheckBody binds and checks the body of the request as each of the handlers
// would that read one, and returns what each says.
func CheckBody(c *gin.Context, rewind func()) map[string]error {
	said := make(map[string]error)
	said["register"] = checkBody[registerRequest](c, rewind)
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

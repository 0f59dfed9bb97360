package controllers

import "multitenant/models"

const knownRoles = "must be owner, admin or member"

func checkRole(checks *models.Checks, role models.Role) {
	if !role.IsValid() {
		checks.Add("role", "invalid_role", knownRoles)
	}
}

// checkNewRole is checkRole for a role that need not be said, see newRole.
func checkNewRole(checks *models.Checks, role *models.Role) {
	if role != nil {
		checkRole(checks, *role)
	}
}

// newRole is the role of a new user: a member, unless the request says otherwise.
func newRole(role *models.Role) models.Role {
	if role == nil {
		return models.RoleMember
	}
	return *role
}

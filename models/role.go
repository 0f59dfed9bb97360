package models

import "slices"

// Role is what a user may do with the users of a tenant. It is kept in the
// tenant's database and read at each request; a token says nothing of it.
type Role string

// The roles. Owners and admins manage the users of the tenant; admins cannot
// touch owners, nor make any.
const (
	RoleOwner  Role = "owner"
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
)

// Roles lists the roles there are, from the one that may do most.
func Roles() []Role { return []Role{RoleOwner, RoleAdmin, RoleMember} }

// IsValid reports whether there is such a role.
func (r Role) IsValid() bool { return slices.Contains(Roles(), r) }

// Manages reports whether the role manages the users of its tenant.
func (r Role) Manages() bool { return r == RoleOwner || r == RoleAdmin }

// MayManage reports whether a user of the role may make, change and remove
// users of the other one.
func (r Role) MayManage(other Role) bool {
	return r == RoleOwner || r == RoleAdmin && other != RoleOwner
}

package models_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unrecorded are the exported functions that change data without an audit event, each
// with its reason.
func unrecorded() map[string]string {
	const registry = "the registry is the server's own; the change of the organization or the command is recorded"
	const operation = "the event was recorded when the operation was asked for"
	return map[string]string{
		"CreateTenant":       registry,
		"ClaimTenant":        registry,
		"Unclaim":            registry,
		"ReserveSpare":       registry,
		"ForgetSlugs":        "their rest has ended by itself",
		"MoveTenant":         registry,
		"RecordSchema":       registry,
		"DeleteTenant":       registry,
		"ForgetReplaced":     registry,
		"EndRest":            "it is a part of a restored tenant, which is recorded",
		"SuspendAgain":       "it is a part of a restored tenant, which is recorded",
		"TakeAliases":        "it is a part of a restored tenant, which is recorded",
		"TakeOrganizationID": "it is a part of a restored tenant, which is recorded",
		"CarryEvents":        "it copies events",
		"CreateStamp":        "the stamp is the server's own",
		"TakeOverCopy":       "a restored or cloned tenant is recorded in core once it is ready, and else it is undone",
		"LinkOwner":          "a takeover changes no data of its own accord: it links what the original kept twice",
		"CreateOrganization": "an organization is recorded once its tenant is ready, and else it is undone",
		"CreateUser":         "it is a part of registering and of making an organization, which are recorded",
		"UpdateProfile":      "users' changes of their own profile are not on record",
		"QueueDeletion":      "the deletion is on record since the tenant was marked",
		"QueueOperation":     "the operation records what it has done",
		"TakeOperation":      operation,
		"SaveOperation":      operation,
		"PruneOperations":    "they have ended long ago; the events that asked for them stay",
		"PruneEvents":        "it makes the event itself, which says how many it removed",
		"RotateSession":      "every refresh would be an event; a token that was used twice is one",
	}
}

// writes are the methods of GORM that change data.
func writes() []string {
	return []string{"Create", "CreateInBatches", "Save", "Update", "Updates", "UpdateColumn", "UpdateColumns", "Delete", "Exec"}
}

// A function that changes data takes the event that records it, so that its caller
// cannot forget to.
func TestWhatChangesDataIsRecorded(t *testing.T) {
	t.Parallel()
	functions := functionsOf(t)
	var forgetful []string
	for name, function := range functions {
		if ast.IsExported(name) && !takesEvent(function) && changesData(functions, function, nil) {
			forgetful = append(forgetful, name)
		}
	}
	excused := make([]string, 0, len(unrecorded()))
	for name := range unrecorded() {
		excused = append(excused, name)
	}
	require.ElementsMatch(t, excused, forgetful, "a function that changes data takes a *Event, or has a reason here")
}

// A function that takes the event records it.
func TestTheEventIsRecorded(t *testing.T) {
	t.Parallel()
	functions := functionsOf(t)
	for name, function := range functions {
		if ast.IsExported(name) && takesEvent(function) && name != "Record" {
			require.Contains(t, calledBy(function), "recorded", name)
		}
	}
}

func functionsOf(t *testing.T) map[string]*ast.FuncDecl {
	t.Helper()
	functions := make(map[string]*ast.FuncDecl)
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		require.NoError(t, err)
		for _, declaration := range parsed.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil {
				functions[function.Name.Name] = function
			}
		}
	}
	require.Contains(t, functions, "CreateTenantUser", "it looks in the right place")
	return functions
}

func takesEvent(function *ast.FuncDecl) bool {
	return slices.ContainsFunc(function.Type.Params.List, func(field *ast.Field) bool {
		pointer, ok := field.Type.(*ast.StarExpr)
		if !ok {
			return false
		}
		name, ok := pointer.X.(*ast.Ident)
		return ok && name.Name == "Event"
	})
}

// changesData reports whether a function, or one that it calls, writes.
func changesData(functions map[string]*ast.FuncDecl, function *ast.FuncDecl, seen []string) bool {
	for _, name := range calledBy(function) {
		if slices.Contains(writes(), name) {
			return true
		}
		called, ours := functions[name]
		if ours && !slices.Contains(seen, name) && changesData(functions, called, append(seen, name)) {
			return true
		}
	}
	return false
}

// calledBy lists the names of the functions and methods that a function calls.
func calledBy(function *ast.FuncDecl) (names []string) {
	ast.Inspect(function, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		called := call.Fun
		if generic, ok := called.(*ast.IndexExpr); ok {
			called = generic.X
		}
		switch called := called.(type) {
		case *ast.Ident:
			names = append(names, called.Name)
		case *ast.SelectorExpr:
			names = append(names, called.Sel.Name)
		}
		return true
	})
	return names
}

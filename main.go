// Command multitenant serves the Multi-Tenant API, a backend with one core
// database and a database for each tenant, and operates the fleet of these.
package main

import (
	"context"
	"os"
	"strings"

	"multitenant/commands"
)

func main() {
	os.Exit(commands.Run(context.Background(), &commands.Invocation{
		Args:    os.Args[1:],
		Environ: environ(),
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
	}))
}

func environ() map[string]string {
	variables := make(map[string]string)
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		variables[name] = value
	}
	return variables
}

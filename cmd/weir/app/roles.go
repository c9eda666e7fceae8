package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// RoleAll is every role in one process: weir up.
const RoleAll = "all"

// role is a part of Weir that can run in a process of its own. needs lists the
// other roles it cannot be without; "all" is only a role that needs the others.
type role struct {
	name  string
	about string
	needs []string
	start func(*App) (service, error) // nil for roles that only need others
}

// roles is the table of roles; adding one edits only this.
var roles = []role{
	{name: "registry", about: "the catalog: plan, apply, get over gRPC", start: (*App).startServers},
	{name: "ingest", about: "reads Kafka, checks, writes tables and online store; imports", start: (*App).startIngest, needs: []string{"registry"}},
	{name: "serving", about: "answers lookups and makes snapshots over gRPC", needs: []string{"registry"}, start: (*App).startServers},
	{name: "drift", about: "judges windows, sends events", start: (*App).startDrift, needs: []string{"registry"}},
	{name: "upkeep", about: "keeps tables small: compaction, expiry, orphans", start: (*App).startUpkeep, needs: []string{"registry"}},
	{name: RoleAll, about: "everything", needs: []string{"registry", "ingest", "serving", "drift", "upkeep"}},
}

// RoleNames lists the roles for help texts.
func RoleNames() []string {
	var out []string
	for _, r := range roles {
		out = append(out, r.name)
	}
	return out
}

// expand adds the roles that the given ones need.
func expand(names []string) (map[string]bool, error) {
	on := map[string]bool{}
	var add func(string) error
	add = func(name string) error {
		i := slices.IndexFunc(roles, func(r role) bool { return r.name == name })
		if i < 0 {
			return feature.Errorf(feature.Invalid, "run", "role "+name, "there is no such role").WithHint("use one or more of %s", strings.Join(RoleNames(), ", "))
		}
		if on[name] {
			return nil
		}
		on[name] = true
		for _, n := range roles[i].needs {
			if err := add(n); err != nil {
				return err
			}
		}
		return nil
	}
	if len(names) == 0 {
		names = []string{RoleAll}
	}
	for _, n := range names {
		if err := add(n); err != nil {
			return nil, fmt.Errorf("%w", err)
		}
	}
	return on, nil
}

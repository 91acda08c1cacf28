//go:build !unix

package apptest

import "time"

// clock stands still: budgets of Lua have no end, and Config.CaseTimeout bounds what loops.
func clock() time.Duration { return 0 }

//go:build !unix

package apptest

import "time"

// clock stands still: budgets of Lua have no end, and Config.Patience bounds what loops.
func clock() time.Duration { return 0 }

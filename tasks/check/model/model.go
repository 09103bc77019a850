package model

import "aloft/tasks/check/engine"

// Checks lists the definitions of the family in the order of their suite.
func Checks() []*engine.Definition { return nil }

package reconcile

import (
	"fmt"
	"runtime/debug"
)

// fence keeps a defect in planning to the one cluster it shows itself in: that cluster is tried again later, the others
// go on. The stack is in the controller's log only.
func fence(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("defect in planning: %v\n%s", p, debug.Stack())
	}
}

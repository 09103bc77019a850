package sweep

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	controlv1 "aloft/proto/sky/control/v1"
	"aloft/providers"
)

// choose reports whether a filter means a machine, and why in words. One that no CI job asked for is never meant.
func choose(f *controlv1.CIFilter, in providers.Instance, now time.Time) (reason string, ok bool) {
	ci := in.Tags.CI
	switch {
	case ci.Repository == "":
		return "", false
	case f.GetRepository() != "" && !strings.EqualFold(f.GetRepository(), ci.Repository):
		return "", false
	case f.GetRun() != "" && f.GetRun() != ci.Run:
		return "", false
	case f.GetKey() != "" && f.GetKey() != ci.Key:
		return "", false
	case f.GetGroup() != "" && f.GetGroup() != ci.Group:
		return "", false
	case f.GetNotRun() != "" && !earlier(ci.Run, f.GetNotRun()):
		return "", false
	}
	if f.GetSpareLeased() && in.Deadline.After(now) {
		return "", false
	}
	age, least := now.Sub(in.Created), time.Duration(f.GetOlderThanMs())*time.Millisecond
	if age >= least {
		return fmt.Sprintf("made %s ago", age.Round(time.Second)), true
	}
	late := now.Sub(in.Deadline)
	if !in.Deadline.IsZero() && late >= time.Duration(f.GetOverdueMs())*time.Millisecond {
		return fmt.Sprintf("%s past its deadline", late.Round(time.Second)), true
	}
	return "", false
}

// earlier reports whether run a is another one than b, and none that began after it, where the CI system numbers them.
func earlier(a, b string) bool {
	x, err := strconv.ParseInt(a, 10, 64)
	y, err2 := strconv.ParseInt(b, 10, 64)
	return a != b && !(err == nil && err2 == nil && x > y)
}

// kin reports whether a home with the same key as this one made a machine: that key opens it here, too.
func (s *Sweeper) kin(in providers.Instance) bool {
	return s.o.Kin != "" && strings.HasPrefix(in.Tags.Installation, s.o.Kin+"-")
}

// meant reports whether a request means a machine of kin.
func (s *Sweeper) meant(r *controlv1.GcRequest, in providers.Instance) bool {
	if !s.kin(in) {
		return false
	}
	_, chosen := choose(r.GetCi(), in, time.Now())
	return r.GetCi() != nil && chosen || slices.Contains(r.GetClusters(), in.Tags.ClusterName)
}

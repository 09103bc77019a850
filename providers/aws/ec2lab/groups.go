package ec2lab

import (
	"context"
	"slices"
	"strings"
)

type placementGroup struct {
	region, name, id, strategy string
	tags                       map[string]string
}

// inUseLocked reports whether a living instance satisfies f.
func (l *Lab) inUseLocked(region string, f func(Instance) bool) bool {
	return slices.ContainsFunc(l.order, func(r *record) bool { return r.cur.Region == region && r.cur.State != Terminated && f(r.cur) })
}

// deleteGroup refuses to delete a security group while an instance is in it.
func (l *Lab) deleteGroup(ctx context.Context, q *request) *response {
	id := q.get("GroupId")
	l.mu.Lock()
	used := l.inUseLocked(q.region, func(i Instance) bool { return slices.Contains(i.Groups, id) })
	l.mu.Unlock()
	if used {
		return failure(q, "DependencyViolation", "resource %s has a dependent object", id)
	}
	return l.forward(ctx, q)
}

func (l *Lab) createPlacement(_ context.Context, q *request) *response {
	name := q.get("GroupName")
	tags, out := tagSpecs(q, "placement-group")
	switch {
	case out != nil:
		return out
	case name == "" || len(name) > 255:
		return failure(q, "InvalidParameterValue", "A placement group needs a name of 1 to 255 characters")
	case !slices.Contains([]string{"", "cluster", "spread", "partition"}, q.get("Strategy")):
		return failure(q, "InvalidPlacementGroup.Strategy", "The strategy %s is unknown", q.get("Strategy"))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups[q.region+" "+name] != nil {
		return failure(q, "InvalidPlacementGroup.Duplicate", "The Placement Group '%s' already exists.", name)
	}
	l.groups[q.region+" "+name] = &placementGroup{q.region, name, newID("pg"), q.get("Strategy"), tags}
	return done(q)
}

func (l *Lab) describePlacements(_ context.Context, q *request) *response {
	type groupXML struct {
		Name     string        `xml:"groupName"`
		ID       string        `xml:"groupId"`
		Strategy string        `xml:"strategy"`
		State    string        `xml:"state"`
		Tags     items[tagXML] `xml:"tagSet"`
	}
	var out struct {
		RequestID string          `xml:"requestId"`
		Set       items[groupXML] `xml:"placementGroupSet"`
	}
	names, fs := q.list("GroupName"), filters(q)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range names {
		if l.groups[q.region+" "+n] == nil {
			return failure(q, "InvalidPlacementGroup.Unknown", "The Placement Group '%s' is unknown.", n)
		}
	}
	for _, g := range l.groups {
		pass := g.region == q.region && (len(names) == 0 || slices.Contains(names, g.name))
		for name, want := range fs {
			switch {
			case name == "group-name":
				pass = pass && globs(want, g.name)
			case strings.HasPrefix(name, "tag:"):
				v, ok := g.tags[strings.TrimPrefix(name, "tag:")]
				pass = pass && ok && globs(want, v)
			case name == "tag-key":
				pass = pass && slices.ContainsFunc(want, func(k string) bool { _, ok := g.tags[k]; return ok })
			default:
				return failure(q, "InvalidParameterValue", "The filter '%s' is invalid", name)
			}
		}
		if pass {
			out.Set.Items = append(out.Set.Items, groupXML{g.name, g.id, g.strategy, "available", tagsXML(g.tags)})
		}
	}
	return answerXML(q, out)
}

func (l *Lab) deletePlacement(_ context.Context, q *request) *response {
	name := q.get("GroupName")
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups[q.region+" "+name] == nil {
		return failure(q, "InvalidPlacementGroup.Unknown", "The Placement Group '%s' is unknown.", name)
	}
	if l.inUseLocked(q.region, func(i Instance) bool { return i.Placement == name }) {
		return failure(q, "InvalidPlacementGroup.InUse", "The placement group %s is in use and may not be deleted.", name)
	}
	delete(l.groups, q.region+" "+name)
	return done(q)
}

// PlacementGroups are the names of those that exist in a region.
func (l *Lab) PlacementGroups(region string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, g := range l.groups {
		if g.region == region {
			out = append(out, g.name)
		}
	}
	slices.Sort(out)
	return out
}

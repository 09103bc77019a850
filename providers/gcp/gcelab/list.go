package gcelab

import (
	"encoding/base64"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"

	"aloft/providers/gcp/gcelab/filter"
)

// scoped is a resource and where it is: zones/X, regions/X or global.
type scoped struct {
	scope string
	body  object
}

// mostResults is Google's limit of a page, and what a page holds when the call does not say.
const mostResults = 500

// cut chooses of all resources those of the call's page, in order; next is the token of the following page.
func (l *Lab) cut(c *call, all []scoped) (page []scoped, next string, bad *apiError) {
	f, err := filter.Parse(c.params["filter"])
	if err != nil {
		return nil, "", invalid("filter", c.params["filter"], "Invalid list filter expression: %s.", err)
	}
	most := mostResults
	if s := c.params["maxResults"]; s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > mostResults {
			return nil, "", invalid("maxResults", s, "Must be between 0 and %d, inclusive.", mostResults)
		}
		if n > 0 {
			most = n
		}
	}
	all = slices.DeleteFunc(all, func(s scoped) bool { return !f(s.body) })
	key := func(s scoped) string { return s.scope + "/" + text(s.body, "name") }
	switch order := c.params["orderBy"]; order {
	case "", "name":
		sort.Slice(all, func(i, j int) bool { return key(all[i]) < key(all[j]) })
	case "creationTimestamp desc":
		key = func(s scoped) string {
			return text(s.body, "creationTimestamp") + text(s.body, "insertTime") + s.scope + "/" + text(s.body, "name")
		}
		sort.Slice(all, func(i, j int) bool { return key(all[i]) > key(all[j]) })
	default:
		return nil, "", invalid("orderBy", order, "Only name and creationTimestamp desc are supported.")
	}
	from := ""
	if token := c.params["pageToken"]; token != "" {
		b, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, "", invalid("pageToken", token, "Invalid page token.")
		}
		from = string(b)
	}
	down := c.params["orderBy"] != "" && c.params["orderBy"] != "name"
	for _, s := range all {
		k := key(s)
		if from != "" && ((!down && k <= from) || (down && k >= from)) {
			continue
		}
		if len(page) == most {
			return page, base64.RawURLEncoding.EncodeToString([]byte(key(page[most-1]))), nil
		}
		page = append(page, s)
	}
	return page, "", nil
}

// page answers a list of one scope.
func (l *Lab) page(c *call, kind, path string, all []object) (object, *apiError) {
	if z := c.params["zone"]; z != "" && l.dark[z] {
		return nil, refuse(http.StatusServiceUnavailable, "backendError", "Backend Error")
	}
	scopes := make([]scoped, len(all))
	for i, o := range all {
		scopes[i] = scoped{body: o}
	}
	some, next, bad := l.cut(c, scopes)
	if bad != nil {
		return nil, bad
	}
	items := make([]any, len(some))
	for i, s := range some {
		items[i] = s.body
	}
	out := object{"kind": kind, "id": "projects/" + l.o.Project + "/" + path, "selfLink": l.link(path)}
	if len(items) > 0 {
		out["items"] = items
	}
	if next != "" {
		out["nextPageToken"] = next
	}
	return out, nil
}

// aggregate answers a list over all scopes: those without anything, and those that cannot be reached, carry a warning.
// The latter make the whole list fail unless the call asks for partial success.
func (l *Lab) aggregate(c *call, kind, field string, all []scoped) (object, *apiError) {
	some, next, bad := l.cut(c, all)
	if bad != nil {
		return nil, bad
	}
	var unreachable []any
	items := object{}
	scopes := map[string]bool{}
	for _, s := range all {
		scopes[s.scope] = true
	}
	byRegion := field == "subnetworks" || field == "resourcePolicies"
	for _, r := range regions() {
		if byRegion {
			scopes["regions/"+r.name] = true
			continue
		}
		for _, z := range r.zones {
			scopes["zones/"+r.name+"-"+string(z)] = true
		}
	}
	for scope := range scopes {
		if zone, ok := strings.CutPrefix(scope, "zones/"); ok && l.dark[zone] {
			unreachable = append(unreachable, l.link(scope))
			items[scope] = object{"warning": warning("UNREACHABLE", "The zone '"+zone+"' cannot be reached.", scope)}
			continue
		}
		items[scope] = object{"warning": warning("NO_RESULTS_ON_PAGE", "There are no results for scope '"+scope+"' on this page.", scope)}
	}
	if len(unreachable) > 0 && c.params["returnPartialSuccess"] != "true" {
		return nil, refuse(http.StatusServiceUnavailable, "backendError", "Backend Error")
	}
	for _, s := range some {
		if zone, ok := strings.CutPrefix(s.scope, "zones/"); ok && l.dark[zone] {
			continue
		}
		pair, ok := items[s.scope].(object)
		if !ok || pair["warning"] != nil {
			pair = object{field: []any{}}
			items[s.scope] = pair
		}
		have, _ := pair[field].([]any)
		pair[field] = append(have, s.body)
	}
	path := "aggregated/" + field
	out := object{"kind": kind, "id": "projects/" + l.o.Project + "/" + path, "selfLink": l.link(path), "items": items}
	if len(unreachable) > 0 {
		out["unreachables"] = unreachable
	}
	if next != "" {
		out["nextPageToken"] = next
	}
	return out, nil
}

func warning(code, message, scope string) object {
	return object{"code": code, "message": message, "data": []any{object{"key": "scope", "value": scope}}}
}

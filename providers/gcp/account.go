package gcp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"cloud.google.com/go/compute/apiv1/computepb"
	"google.golang.org/api/googleapi"

	"aloft/providers"
)

// CheckAccount says whether the credentials can be used: the project is there, its API is on, and every permission that this
// package needs is granted.
func (p *Provider) CheckAccount(ctx context.Context) (providers.Account, error) {
	const op = "check"
	c, err := p.api(ctx, op)
	if err != nil {
		return providers.Account{}, err
	}
	a := providers.Account{Identity: c.project, Capabilities: []string{"compute"}}
	if c.identity != "" {
		a.Identity = c.identity + " in project " + c.project
	}
	if c.note != "" {
		a.Notes = append(a.Notes, c.note)
	}
	need, others := required()
	granted, err := p.granted(ctx, c, append(slices.Collect(maps.Keys(need)), slices.Collect(maps.Keys(others))...))
	if err != nil {
		// Resource Manager's API may be off; Compute's own answer is what counts.
		a.Notes = append(a.Notes, "Permissions could not be tested: "+errText(err)+".")
	}
	_, perr := c.projects.Get(ctx, &computepb.GetProjectRequest{Project: c.project})
	if perr != nil && (err != nil || !denied(perr)) {
		return providers.Account{}, p.failure(ctx, op, "", perr)
	}
	if err != nil {
		return a, nil
	}
	for _, name := range slices.Sorted(maps.Keys(need)) {
		if !granted[name] {
			a.Missing = append(a.Missing, providers.Permission{Name: name, For: need[name], Fix: p.grant(c)})
		}
	}
	var lacking []string
	for _, name := range slices.Sorted(maps.Keys(others)) {
		if !granted[name] {
			lacking = append(lacking, name+" ("+others[name]+")")
		}
	}
	if len(lacking) > 0 {
		a.Notes = append(a.Notes, "Not granted, and needed for some tasks only: "+strings.Join(lacking, ", ")+".")
	}
	if p.set.serviceAccount == "" {
		a.Notes = append(a.Notes, "Machines have no service account: one that ends by itself stops, and its disk is billed until the controller or `sky gc` deletes it (see docs/clouds.md).")
	}
	return a, nil
}

// denied reports whether a call was refused for lack of a permission and nothing else.
func denied(err error) bool {
	f, ok := read(err)
	return ok && f.status == http.StatusForbidden && permissionPattern.MatchString(f.message)
}

// grant is the command that gives us the role.
func (p *Provider) grant(c *clients) string {
	member := c.member
	if member == "" {
		member = "user:$(gcloud config get-value account)"
	}
	return fmt.Sprintf("gcloud projects add-iam-policy-binding %s --member=%s --role=projects/%s/roles/aloft", c.project, member, c.project)
}

// permissionsPerCall is how many permissions the API tests at once.
const permissionsPerCall = 100

// granted asks which of the permissions the credentials have on the project.
func (p *Provider) granted(ctx context.Context, c *clients, names []string) (map[string]bool, error) {
	out := map[string]bool{}
	base := managerEndpoint
	if p.set.endpoint != "" {
		base = p.set.endpoint
	}
	slices.Sort(names)
	for part := range slices.Chunk(names, permissionsPerCall) {
		body, err := json.Marshal(map[string][]string{"permissions": part})
		if err != nil {
			return nil, fmt.Errorf("test permissions: %w", err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/projects/"+c.project+":testIamPermissions", bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("test permissions: %w", err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, p.failure(ctx, "check", "", err)
		}
		b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		_ = resp.Body.Close()
		if err == nil {
			err = googleapi.CheckResponseWithBody(resp, b)
		}
		if err != nil {
			return nil, p.failure(ctx, "check", "", err)
		}
		var answer struct {
			Permissions []string `json:"permissions"`
		}
		if err := json.Unmarshal(b, &answer); err != nil {
			return nil, fail("check", providers.Transient, providers.ScopeProvider, "bad-answer", "", "the answer is not JSON")
		}
		for _, n := range answer.Permissions {
			out[n] = true
		}
	}
	return out, nil
}

// errText is what an error says, without its frame.
func errText(err error) string {
	if e, ok := err.(*providers.Error); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

package aws_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/aws"
	"aloft/providers/aws/ec2lab"
)

var update = flag.Bool("update", false, "rewrite golden files")

const policyFile = "../../docs/aws-policy.json"

// spotRole is granted for EC2 itself, which makes the role of an account's first spot machine; no call of ours needs it.
const spotRole = "iam:CreateServiceLinkedRole"

// everything does all that the provider can do, once. Its error is the first refusal.
func everything(ctx context.Context, l *ec2lab.Lab, observe func(string)) error {
	mk := func(set map[string]string) (*aws.Provider, error) {
		all := map[string]string{"endpoint_url": l.URL(), "region": region, "regions": region}
		for k, v := range set {
			all[k] = v
		}
		return aws.New(providers.Config{Settings: all}, aws.Options{Credentials: labKeys(), Observe: observe, Lag: time.Second, Idle: 100 * time.Millisecond})
	}
	p, err := mk(nil)
	if err != nil {
		return err
	}
	if err := p.CheckQuota(ctx, spec(), 2); err != nil {
		return fmt.Errorf("quota: %w", err)
	}
	seller, err := mk(map[string]string{"regions": region})
	if err != nil {
		return err
	}
	if err := seller.Catalog(ctx, func(providers.CatalogRow) error { return nil }); err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	if err := p.Catalog(ctx, func(providers.CatalogRow) error { return nil }); err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	gang := request("gang", func(r *providers.CreateRequest) {
		r.Spec.InstanceType, r.Spec.NetworkTier, r.Spec.Nodes, r.Spec.Ports = "c6i.32xlarge", "best", 2, []string{"8080"}
	})
	spot := request("spot", func(r *providers.CreateRequest) { r.Spec.Spot, r.Spec.Zone = true, "" })
	var refs []providers.InstanceRef
	for _, r := range []providers.CreateRequest{gang, spot} {
		in, err := p.Create(ctx, r)
		if err != nil {
			return fmt.Errorf("create: %w", err)
		}
		refs = append(refs, in.InstanceRef)
	}
	state := func(ref providers.InstanceRef, want providers.InstanceState) error {
		for range 500 {
			for in, err := range p.Describe(ctx, providers.Selector{IDs: []string{ref.ID}}) {
				if err != nil {
					return fmt.Errorf("describe: %w", err)
				}
				if in.State == want {
					return nil
				}
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			t := time.NewTimer(10 * time.Millisecond)
			<-t.C
		}
		return errors.New("the state did not come")
	}
	one := refs[0]
	all, err := mk(map[string]string{"regions": ""})
	if err != nil {
		return err
	}
	steps := []func() error{
		func() error { // in every region
			for _, err := range all.Describe(ctx, providers.Selector{Ours: true}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		func() error { return state(one, providers.InstanceRunning) },
		func() error { return p.SetPowerOff(ctx, one, true) },
		func() error { return p.ExtendDeadline(ctx, one, time.Now().Add(time.Hour)) },
		func() error { _, err := p.Console(ctx, one); return err },
		func() error { return p.Stop(ctx, one) },
		func() error { return state(one, providers.InstanceStopped) },
		func() error { return p.Start(ctx, one) },
		func() error { // from fewer places than before
			q, err := mk(map[string]string{"ssh_from": "203.0.113.0/24"})
			if err != nil {
				return err
			}
			in, err := q.Create(ctx, request("later"))
			refs = append(refs, in.InstanceRef)
			return err
		},
	}
	for i, f := range steps {
		if err := f(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	for _, ref := range refs {
		if err := p.Delete(ctx, ref); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
	}
	for _, ref := range refs {
		if err := state(ref, providers.InstanceTerminated); err != nil {
			return err
		}
	}
	if err := p.Finish(ctx, gang.Tags, region); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	return nil
}

func actions(t *testing.T, doc []byte) []string {
	t.Helper()
	var p struct{ Statement []struct{ Action []string } }
	if err := json.Unmarshal(doc, &p); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range p.Statement {
		out = append(out, s.Action...)
	}
	slices.Sort(out)
	return out
}

// without is the policy less one action.
func without(t *testing.T, doc []byte, action string) []byte {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal(doc, &p); err != nil {
		t.Fatal(err)
	}
	var kept []any
	for _, s := range p["Statement"].([]any) {
		m := s.(map[string]any)
		m["Action"] = slices.DeleteFunc(m["Action"].([]any), func(a any) bool { return a == action })
		if len(m["Action"].([]any)) > 0 {
			kept = append(kept, m)
		}
	}
	p["Statement"] = kept
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestPolicyFile holds the policy in docs/ against the calls that the code makes.
func TestPolicyFile(t *testing.T) {
	t.Parallel()
	want, err := aws.Policy()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(policyFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(policyFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code uses: go test ./providers/aws -run TestPolicyFile -update", policyFile)
	}
	l := newLab(t, ec2lab.Options{Through: 1})
	if err := l.SetPolicy(got); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	if err := everything(t.Context(), l, func(a string) {
		mu.Lock()
		defer mu.Unlock()
		seen[a] = true
	}); err != nil {
		t.Fatalf("the policy is not sufficient: %v", err)
	}
	delete(seen, "sts:GetCallerIdentity") // needs no permission
	for _, a := range l.PermissionsUsed() {
		seen[a] = true
	}
	var used []string
	for a := range seen {
		used = append(used, a)
	}
	slices.Sort(used)
	granted := slices.DeleteFunc(actions(t, got), func(a string) bool { return a == spotRole })
	if !slices.Equal(used, granted) {
		t.Errorf("the calls need\n%v\nthe policy grants\n%v", used, granted)
	}
}

// optional are permissions without which machines can be had.
func optional(action string) bool {
	return action == "servicequotas:GetServiceQuota" || action == "ec2:DescribeSpotPriceHistory" || action == "pricing:GetProducts"
}

// TestMissingPermissions takes each permission away: sky check names it, with its fix. That none is granted in vain is shown
// by TestPolicyFile.
func TestMissingPermissions(t *testing.T) {
	t.Parallel()
	doc, err := aws.Policy()
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, ec2lab.Options{Through: 1})
	for _, action := range actions(t, doc) {
		if action == spotRole {
			continue
		}
		if err := l.SetPolicy(without(t, doc, action)); err != nil {
			t.Fatal(err)
		}
		acc, err := provider(t, l, map[string]string{"image": "", "image_arm64": "", "image_gpu": ""}).CheckAccount(t.Context())
		switch {
		case err != nil:
			t.Errorf("%s: %v", action, err)
		case optional(action):
			if len(acc.Missing) > 0 || len(acc.Notes) != 1 || !strings.Contains(acc.Notes[0], action) {
				t.Errorf("%s is not needed: %+v", action, acc)
			}
		case len(acc.Missing) != 1 || acc.Missing[0].Name != action || !strings.HasPrefix(acc.Missing[0].Fix, "aws iam put-") || !strings.HasSuffix(acc.Missing[0].Fix, "file://docs/aws-policy.json"):
			t.Errorf("missing %+v, want %s", acc.Missing, action)
		}
	}
	// What is refused in earnest is named, too.
	if err := l.SetPolicy(without(t, doc, "ec2:RunInstances")); err != nil {
		t.Fatal(err)
	}
	if _, err := provider(t, l, nil).Create(t.Context(), request("refused")); providers.KindOf(err) != providers.Auth || !strings.Contains(err.Error(), "ec2:RunInstances") {
		t.Errorf("without ec2:RunInstances: %v", err)
	}
}

func TestCheckAccount(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Through: 1})
	p := provider(t, l, nil)
	acc, err := p.CheckAccount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(acc.Identity, l.Account()) || len(acc.Missing) > 0 || len(acc.Notes) > 0 {
		t.Errorf("account %+v", acc)
	}
	if made := l.Instances(); len(made) > 0 {
		t.Errorf("the check made %v", made)
	}
	if err := l.SetPolicy([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)); err != nil {
		t.Fatal(err)
	}
	doc, err := aws.Policy()
	if err != nil {
		t.Fatal(err)
	}
	if acc, err = p.CheckAccount(t.Context()); err != nil || len(acc.Missing) < len(actions(t, doc))-5 {
		t.Errorf("with no permission: %+v, %v", acc, err)
	}
	l.SetKey(ec2lab.AccessKey, "ExpiredToken")
	if _, err := p.CheckAccount(t.Context()); providers.KindOf(err) != providers.Auth {
		t.Errorf("with an expired token: %v", err)
	}
}

package ec2lab_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"aloft/providers/aws/ec2lab"
)

// moto is one server for all tests of the package.
var moto = sync.OnceValues(ec2lab.StartMoto)

func TestMain(m *testing.M) {
	code := m.Run()
	if ec2lab.Available(ec2lab.Options{}) == nil {
		if s, err := moto(); err == nil {
			_ = s.Close()
		}
	}
	os.Exit(code)
}

func newLab(t testing.TB, o ec2lab.Options) *ec2lab.Lab {
	t.Helper()
	if err := ec2lab.Available(o); err != nil {
		t.Skipf("SKIPPED, the EC2 laboratory cannot be had here: %v", err)
	}
	var err error
	if o.Moto, err = moto(); err != nil {
		t.Fatal(err)
	}
	l, err := ec2lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func config(l *ec2lab.Lab, attempts int) sdk.Config {
	return sdk.Config{
		Region: "us-east-1", BaseEndpoint: sdk.String(l.URL()), Credentials: credentials.NewStaticCredentialsProvider(ec2lab.AccessKey, ec2lab.SecretKey, ""),
		Retryer: func() sdk.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, time.Millisecond })
		},
	}
}

func client(l *ec2lab.Lab) *ec2.Client { return ec2.NewFromConfig(config(l, 1)) }

const (
	region = "us-east-1"
	image  = "ami-0123456789abcdef0"
	arm    = "ami-0123456789abcdef1"
	small  = "m7i.large"
)

func images() map[string]string { return map[string]string{image: "x86_64", arm: "arm64"} }

func run(token string, change ...func(*ec2.RunInstancesInput)) *ec2.RunInstancesInput {
	in := &ec2.RunInstancesInput{ImageId: sdk.String(image), InstanceType: small, MinCount: sdk.Int32(1), MaxCount: sdk.Int32(1)}
	if token != "" {
		in.ClientToken = sdk.String(token)
	}
	for _, f := range change {
		f(in)
	}
	return in
}

func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func find(l *ec2lab.Lab, id string) ec2lab.Instance {
	all := l.Instances()
	return all[slices.IndexFunc(all, func(i ec2lab.Instance) bool { return i.ID == id })]
}

func create(t *testing.T, c *ec2.Client, in *ec2.RunInstancesInput) types.Instance {
	t.Helper()
	out, err := c.RunInstances(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out.Instances[0]
}

func TestTokens(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Images: images()})
	c, ctx := client(l), t.Context()
	var wg sync.WaitGroup
	ids := make([]string, 32)
	for n := range ids {
		wg.Go(func() {
			out, err := c.RunInstances(ctx, run("one-token"))
			if err != nil {
				t.Error(err)
				return
			}
			ids[n] = *out.Instances[0].InstanceId
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("one token, several instances: %v", ids)
		}
	}
	if n := len(l.Instances()); n != 1 {
		t.Fatalf("%d instances", n)
	}
	_, err := c.RunInstances(ctx, run("one-token", func(in *ec2.RunInstancesInput) { in.InstanceType = "m7i.xlarge" }))
	if code(err) != "IdempotentParameterMismatch" {
		t.Errorf("another type with the same token: %v", err)
	}
	// A token is a region's own.
	other := config(l, 1)
	other.Region = "eu-west-1"
	out, err := ec2.NewFromConfig(other).RunInstances(ctx, run("one-token"))
	if err != nil || *out.Instances[0].InstanceId == ids[0] {
		t.Errorf("the same token in another region: %v", err)
	}
	// A listing by token.
	list, err := c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: sdk.String("client-token"), Values: []string{"one-token"}}}})
	if err != nil || len(list.Reservations) != 1 || *list.Reservations[0].Instances[0].InstanceId != ids[0] {
		t.Errorf("by token: %+v, %v", list, err)
	}
	// A refusal does not bind a token.
	if _, err := c.RunInstances(ctx, run("later", func(in *ec2.RunInstancesInput) { in.InstanceType = "nonexistent.large" })); err == nil {
		t.Error("an unknown type was accepted")
	}
	if _, err := c.RunInstances(ctx, run("later")); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
	// After its end the token gives the dead instance.
	if _, err := c.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: ids[:1]}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "terminated", func() bool { return find(l, ids[0]).State == ec2lab.Terminated })
	again, err := c.RunInstances(ctx, run("one-token"))
	if err != nil || *again.Instances[0].InstanceId != ids[0] || again.Instances[0].State.Name != types.InstanceStateNameTerminated {
		t.Errorf("a spent token: %+v, %v", again, err)
	}
	strict := newLab(t, ec2lab.Options{Images: images(), ReplayRefused: true})
	c = client(strict)
	i := create(t, c, run("x"))
	strict.End(*i.InstanceId, "Server.InternalError")
	eventually(t, "terminated", func() bool { return len(strict.Alive()) == 0 })
	if _, err := c.RunInstances(ctx, run("x")); code(err) != "IdempotentInstanceTerminated" {
		t.Errorf("a spent token where replays are refused: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Images: images(), Prices: map[string]float64{small: 1}})
	c := client(l)
	spot := func(price string) func(*ec2.RunInstancesInput) {
		return func(in *ec2.RunInstancesInput) {
			in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot, SpotOptions: &types.SpotMarketOptions{MaxPrice: sdk.String(price)}}
		}
	}
	for name, tc := range map[string]struct {
		change func(*ec2.RunInstancesInput)
		code   string
	}{
		"type":       {func(in *ec2.RunInstancesInput) { in.InstanceType = "nonexistent.large" }, "InvalidParameterValue"},
		"image":      {func(in *ec2.RunInstancesInput) { in.ImageId = sdk.String("ami-00000000000000000") }, "InvalidAMIID.NotFound"},
		"image's id": {func(in *ec2.RunInstancesInput) { in.ImageId = sdk.String("ubuntu") }, "InvalidAMIID.Malformed"},
		"arch":       {func(in *ec2.RunInstancesInput) { in.ImageId = sdk.String(arm) }, "InvalidParameterValue"},
		"key":        {func(in *ec2.RunInstancesInput) { in.KeyName = sdk.String("nobody") }, "InvalidKeyPair.NotFound"},
		"subnet":     {func(in *ec2.RunInstancesInput) { in.SubnetId = sdk.String("subnet-00000000") }, "InvalidSubnetID.NotFound"},
		"group":      {func(in *ec2.RunInstancesInput) { in.SecurityGroupIds = []string{"sg-00000000"} }, "InvalidGroup.NotFound"},
		"zone": {func(in *ec2.RunInstancesInput) {
			in.Placement = &types.Placement{AvailabilityZone: sdk.String("us-east-1z")}
		}, "Unsupported"},
		"placement":  {func(in *ec2.RunInstancesInput) { in.Placement = &types.Placement{GroupName: sdk.String("nowhere")} }, "InvalidPlacementGroup.Unknown"},
		"token":      {func(in *ec2.RunInstancesInput) { in.ClientToken = sdk.String(strings.Repeat("x", 65)) }, "InvalidParameterValue"},
		"spot price": {spot("0.1"), "SpotMaxPriceTooLow"},
		"user data":  {func(in *ec2.RunInstancesInput) { in.UserData = sdk.String("not base64!") }, "InvalidUserData.Malformed"},
		"long data": {func(in *ec2.RunInstancesInput) {
			in.UserData = sdk.String(base64.StdEncoding.EncodeToString(make([]byte, 20<<10)))
		}, "InvalidParameterValue"},
		"zone's type": {func(in *ec2.RunInstancesInput) {
			in.InstanceType = "p4d.24xlarge"
			in.Placement = &types.Placement{AvailabilityZone: sdk.String("us-east-1f")}
		}, "Unsupported"},
		"dry run": {func(in *ec2.RunInstancesInput) { in.DryRun = sdk.Bool(true) }, "DryRunOperation"},
		"tag": {func(in *ec2.RunInstancesInput) {
			in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{{Key: sdk.String("aws:x"), Value: sdk.String("y")}}}}
		}, "InvalidParameterValue"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.RunInstances(t.Context(), run("", tc.change)); code(err) != tc.code {
				t.Errorf("%v, want %s", err, tc.code)
			}
		})
	}
	if n := len(l.Instances()); n != 0 {
		t.Errorf("%d instances were made", n)
	}
	if _, err := c.RunInstances(t.Context(), run("", spot("0.6"))); err != nil {
		t.Errorf("a spot request at a fair price: %v", err)
	}
	for _, tc := range []struct{ id, code string }{{"i-00000000000000000", "InvalidInstanceID.NotFound"}, {"machine", "InvalidInstanceID.Malformed"}} {
		if _, err := c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{tc.id}}); code(err) != tc.code {
			t.Errorf("describe %s: %v", tc.id, err)
		}
		if _, err := c.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{tc.id}}); code(err) != tc.code {
			t.Errorf("terminate %s: %v", tc.id, err)
		}
	}
	if _, err := c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: sdk.String("colour"), Values: []string{"red"}}}}); code(err) != "InvalidParameterValue" {
		t.Errorf("an unknown filter: %v", err)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Images: images(), StateDelay: 200 * time.Millisecond})
	c, ctx := client(l), t.Context()
	i := create(t, c, run("a"))
	id := *i.InstanceId
	if err := func() error {
		_, err := c.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}})
		return err
	}(); code(err) != "IncorrectInstanceState" && find(l, id).State == ec2lab.Pending {
		t.Errorf("stop what is pending: %v", err)
	}
	if i.State.Name != types.InstanceStateNamePending {
		t.Errorf("a new instance is %s", i.State.Name)
	}
	is := func(want ec2lab.State) {
		t.Helper()
		eventually(t, string(want), func() bool { return find(l, id).State == want })
	}
	ids := []string{id}
	start := func() error {
		_, err := c.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: ids})
		return err
	}
	stop := func() error {
		_, err := c.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: ids})
		return err
	}
	is(ec2lab.Running)
	if find(l, id).PublicIP == "" {
		t.Error("a running instance without a public address")
	}
	if err := start(); err != nil {
		t.Errorf("start what runs: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := start(); err == nil && len(l.CallsOf("StartInstances")) == 2 && find(l, id).State == ec2lab.Stopping {
		t.Error("what is stopping was started")
	}
	is(ec2lab.Stopped)
	if find(l, id).PublicIP != "" {
		t.Error("a stopped instance has a public address")
	}
	if err := stop(); err != nil {
		t.Errorf("stop what is stopped: %v", err)
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	is(ec2lab.Running)
	for _, p := range []bool{true, false} {
		if _, err := c.ModifyInstanceAttribute(ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: &id, DisableApiTermination: &types.AttributeBooleanValue{Value: sdk.Bool(p)}}); err != nil {
			t.Fatal(err)
		}
		_, err := c.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})
		if p != (code(err) == "OperationNotPermitted") {
			t.Errorf("protected %t: %v", p, err)
		}
	}
	is(ec2lab.Terminated)
	if err := start(); code(err) != "IncorrectInstanceState" {
		t.Errorf("start what is dead: %v", err)
	}
	if err := stop(); code(err) != "IncorrectInstanceState" {
		t.Errorf("stop what is dead: %v", err)
	}
	if _, err := c.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: ids}); err != nil {
		t.Errorf("terminate what is dead: %v", err)
	}
	out, err := c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: ids})
	if err != nil || *out.Reservations[0].Instances[0].StateReason.Code != "Client.UserInitiatedShutdown" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		code   string
		status int
	}{
		{"InsufficientInstanceCapacity", 500}, {"VcpuLimitExceeded", 400}, {"MaxSpotInstanceCountExceeded", 400}, {"SpotMaxPriceTooLow", 400}, {"RequestLimitExceeded", 503},
		{"UnauthorizedOperation", 403}, {"AuthFailure", 401}, {"RequestExpired", 400}, {"InternalError", 500}, {"Unavailable", 503}, {"OptInRequired", 403},
	} {
		t.Run(tc.code, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, ec2lab.Options{Images: images()})
			l.Fail(ec2lab.Rule{Action: "RunInstances", InstanceType: small, Times: 1, Code: tc.code})
			_, err := client(l).RunInstances(t.Context(), run("t"))
			var re interface{ HTTPStatusCode() int }
			if code(err) != tc.code || !errors.As(err, &re) || re.HTTPStatusCode() != tc.status {
				t.Errorf("%v", err)
			}
			if _, err := client(l).RunInstances(t.Context(), run("t")); err != nil {
				t.Errorf("the second call: %v", err)
			}
			if calls := l.CallsOf("RunInstances"); len(calls) != 2 || calls[0].Code != tc.code || calls[1].Code != "" {
				t.Errorf("calls: %+v", calls)
			}
		})
	}
	t.Run("where and what", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, ec2lab.Options{Images: images()})
		c := client(l)
		l.Fail(ec2lab.Rule{Action: "RunInstances", Zone: "us-east-1a", Code: "InsufficientInstanceCapacity"})
		l.Fail(ec2lab.Rule{Action: "DescribeInstances", Skip: 1, Times: 1, HTTP: 502, Code: "x", Body: "<html>bad gateway</html>"})
		subnets, err := c.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range subnets.Subnets {
			_, err := c.RunInstances(t.Context(), run("", func(in *ec2.RunInstancesInput) { in.SubnetId = s.SubnetId }))
			if (code(err) == "InsufficientInstanceCapacity") != (*s.AvailabilityZone == "us-east-1a") {
				t.Errorf("%s: %v", *s.AvailabilityZone, err)
			}
		}
		for n, want := range []bool{true, false, true} {
			if _, err := c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{}); (err == nil) != want {
				t.Errorf("listing %d: %v", n+1, err)
			}
		}
	})
	t.Run("lost", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, ec2lab.Options{Images: images()})
		l.Fail(ec2lab.Rule{Action: "RunInstances", Times: 2, Lost: true})
		// The SDK asks again with the same token: one instance.
		i := create(t, ec2.NewFromConfig(config(l, 5)), run("t"))
		if all := l.Instances(); len(all) != 1 || all[0].ID != *i.InstanceId || len(l.CallsOf("RunInstances")) != 3 {
			t.Errorf("%+v after %d calls", all, len(l.CallsOf("RunInstances")))
		}
	})
	t.Run("late", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, ec2lab.Options{Images: images()})
		l.Fail(ec2lab.Rule{Action: "RunInstances", Times: 1, Late: 200 * time.Millisecond})
		if _, err := client(l).RunInstances(t.Context(), run("t")); err == nil {
			t.Error("a late call was answered")
		}
		if n := len(l.Instances()); n != 0 {
			t.Errorf("%d instances at once", n)
		}
		eventually(t, "the late effect", func() bool { return len(l.Alive()) == 1 })
	})
	t.Run("keys", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, ec2lab.Options{Images: images()})
		l.SetKey(ec2lab.AccessKey, "AuthFailure")
		if _, err := client(l).DescribeRegions(t.Context(), &ec2.DescribeRegionsInput{}); code(err) != "AuthFailure" {
			t.Errorf("%v", err)
		}
		l.SetKey(ec2lab.AccessKey, "")
		if _, err := client(l).DescribeRegions(t.Context(), &ec2.DescribeRegionsInput{}); err != nil {
			t.Errorf("%v", err)
		}
	})
}

func TestListingsLag(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Images: images()})
	c, ctx := client(l), t.Context()
	l.SetListingLag(time.Hour)
	i := create(t, c, run("a"))
	list, err := c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{})
	if err != nil || len(list.Reservations) != 0 {
		t.Errorf("shown at once: %+v, %v", list, err)
	}
	if _, err := c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{*i.InstanceId}}); code(err) != "InvalidInstanceID.NotFound" {
		t.Errorf("%v", err)
	}
	l.SetListingLag(0)
	eventually(t, "running", func() bool { return find(l, *i.InstanceId).State == ec2lab.Running })
	l.SetListingLag(300 * time.Millisecond)
	time.Sleep(310 * time.Millisecond) // the lag itself: what is there now is shown from now on
	if _, err := c.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{*i.InstanceId}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "terminated", func() bool { return find(l, *i.InstanceId).State == ec2lab.Terminated })
	eventually(t, "shown as terminated", func() bool {
		out, err := c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{*i.InstanceId}})
		return err == nil && out.Reservations[0].Instances[0].State.Name == types.InstanceStateNameTerminated
	})
}

func TestPages(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Images: images(), Through: 2})
	c, ctx := client(l), t.Context()
	const n = 1203
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for k := w; k < n; k += 8 {
				if _, err := c.RunInstances(ctx, run(fmt.Sprintf("t%d", k), func(in *ec2.RunInstancesInput) {
					in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{{Key: sdk.String("n"), Value: sdk.String(fmt.Sprint(k % 2))}}}}
				})); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, tc := range []struct {
		in    ec2.DescribeInstancesInput
		pages int
		want  int
	}{
		{ec2.DescribeInstancesInput{}, 2, n},
		{ec2.DescribeInstancesInput{MaxResults: sdk.Int32(100)}, 13, n},
		{ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: sdk.String("tag:n"), Values: []string{"1"}}, {Name: sdk.String("instance-type"), Values: []string{"m7*"}}}}, 1, n / 2},
	} {
		seen := map[string]bool{}
		p, pages := ec2.NewDescribeInstancesPaginator(c, &tc.in), 0
		for p.HasMorePages() {
			out, err := p.NextPage(ctx)
			if err != nil {
				t.Fatalf("page %d of %+v: %v", pages+1, tc.in, err)
			}
			pages++
			for _, r := range out.Reservations {
				for _, i := range r.Instances {
					seen[*i.InstanceId] = true
				}
			}
		}
		if len(seen) != tc.want || pages != tc.pages {
			t.Errorf("%d instances on %d pages, want %d on %d", len(seen), pages, tc.want, tc.pages)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Images: images()})
	c, ctx := client(l), t.Context()
	sg, err := c.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: sdk.String("g"), Description: sdk.String("g")})
	if err != nil {
		t.Fatal(err)
	}
	for want := range 2 {
		_, err := c.CreatePlacementGroup(ctx, &ec2.CreatePlacementGroupInput{GroupName: sdk.String("p"), Strategy: types.PlacementStrategyCluster})
		if (code(err) == "InvalidPlacementGroup.Duplicate") != (want == 1) {
			t.Errorf("%v", err)
		}
	}
	i := create(t, c, run("", func(in *ec2.RunInstancesInput) {
		in.SecurityGroupIds = []string{*sg.GroupId}
		in.Placement = &types.Placement{GroupName: sdk.String("p")}
	}))
	if got := find(l, *i.InstanceId); !slices.Equal(got.Groups, []string{*sg.GroupId}) || got.Placement != "p" {
		t.Errorf("%+v", got)
	}
	if _, err := c.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: sg.GroupId}); code(err) != "DependencyViolation" {
		t.Errorf("%v", err)
	}
	if _, err := c.DeletePlacementGroup(ctx, &ec2.DeletePlacementGroupInput{GroupName: sdk.String("p")}); code(err) != "InvalidPlacementGroup.InUse" {
		t.Errorf("%v", err)
	}
	l.End(*i.InstanceId, "Server.InternalError")
	eventually(t, "the end", func() bool { return len(l.Alive()) == 0 })
	if _, err := c.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: sg.GroupId}); err != nil {
		t.Error(err)
	}
	if _, err := c.DeletePlacementGroup(ctx, &ec2.DeletePlacementGroupInput{GroupName: sdk.String("p")}); err != nil {
		t.Error(err)
	}
	if len(l.PlacementGroups(region)) != 0 {
		t.Error("a placement group is left")
	}
}

func TestMetadataService(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Images: images()})
	c := client(l)
	const public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKxZ7r0UJxUZ7V4Ww4v3mYcTzE2oqQJf0fHq1cXb3Zzq"
	if _, err := c.ImportKeyPair(t.Context(), &ec2.ImportKeyPairInput{KeyName: sdk.String("mine"), PublicKeyMaterial: []byte(public)}); err != nil {
		t.Fatal(err)
	}
	i := create(t, c, run("", func(in *ec2.RunInstancesInput) {
		in.KeyName = sdk.String("mine")
		in.MetadataOptions = &types.InstanceMetadataOptionsRequest{HttpTokens: types.HttpTokensStateRequired}
		in.UserData = sdk.String(base64.StdEncoding.EncodeToString([]byte("hello")))
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot}
	}))
	id := *i.InstanceId
	call := func(method, path string, header ...string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://169.254.169.254"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(header); n += 2 {
			req.Header.Set(header[n], header[n+1])
		}
		w := &recorder{header: http.Header{}, status: 200}
		l.Metadata(id).ServeHTTP(w, req)
		return w.status, w.body.String()
	}
	if s, _ := call("GET", "/latest/meta-data/instance-id"); s != 401 {
		t.Errorf("without a token: %d", s)
	}
	if s, _ := call("GET", "/latest/api/token"); s != 403 {
		t.Errorf("GET of a token: %d", s)
	}
	if s, _ := call("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "99999"); s != 400 {
		t.Errorf("a token for ever: %d", s)
	}
	_, token := call("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
	get := func(path string) (int, string) { return call("GET", path, "X-aws-ec2-metadata-token", token) }
	for path, want := range map[string]string{
		"/latest/meta-data/instance-id": id, "/latest/user-data": "hello", "/latest/meta-data/placement/region": region, "/latest/meta-data/instance-life-cycle": "spot",
		"/latest/meta-data/public-keys/0/openssh-key": public, "/latest/meta-data/placement/": "availability-zone\nregion",
	} {
		if s, got := get(path); s != 200 || got != want {
			t.Errorf("%s: %d %q", path, s, got)
		}
	}
	if s, _ := get("/latest/meta-data/spot/instance-action"); s != 404 {
		t.Errorf("a notice before its time: %d", s)
	}
	l.Interrupt(id, 300*time.Millisecond)
	if s, got := get("/latest/meta-data/spot/instance-action"); s != 200 || !strings.Contains(got, `"action":"terminate"`) {
		t.Errorf("notice: %d %s", s, got)
	}
	eventually(t, "taken back", func() bool {
		i := find(l, id)
		return i.State == ec2lab.Terminated && i.Reason == "Server.SpotInstanceTermination"
	})
}

type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(s int)           { r.status = s }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

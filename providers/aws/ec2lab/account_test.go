package ec2lab_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"aloft/providers/aws/ec2lab"
)

func TestQuotas(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Images: images()})
	c, q := client(l), servicequotas.NewFromConfig(config(l, 1))
	const onDemand, spot = "L-1216C47A", "L-34B43A08"
	l.SetQuota(region, onDemand, 5)
	l.SetQuota(region, spot, 1)
	out, err := q.GetServiceQuota(t.Context(), &servicequotas.GetServiceQuotaInput{ServiceCode: sdk.String("ec2"), QuotaCode: sdk.String(onDemand)})
	if err != nil || *out.Quota.Value != 5 {
		t.Fatalf("%+v, %v", out, err)
	}
	list, err := q.ListServiceQuotas(t.Context(), &servicequotas.ListServiceQuotasInput{ServiceCode: sdk.String("ec2")})
	if err != nil || len(list.Quotas) < 15 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := q.GetServiceQuota(t.Context(), &servicequotas.GetServiceQuotaInput{ServiceCode: sdk.String("ec2"), QuotaCode: sdk.String("L-00000000")}); code(err) != "NoSuchResourceException" {
		t.Errorf("%v", err)
	}
	for n, want := range []string{"", "", "VcpuLimitExceeded"} { // two vCPUs each
		if _, err := c.RunInstances(t.Context(), run("")); code(err) != want {
			t.Errorf("instance %d: %v", n+1, err)
		}
	}
	_, err = c.RunInstances(t.Context(), run("", func(in *ec2.RunInstancesInput) {
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot}
	}))
	if code(err) != "MaxSpotInstanceCountExceeded" {
		t.Errorf("%v", err)
	}
	// Another family has a quota of its own; what ends makes room.
	if _, err := c.RunInstances(t.Context(), run("", func(in *ec2.RunInstancesInput) { in.InstanceType = "g5.xlarge" })); err != nil {
		t.Error(err)
	}
	l.End(l.Instances()[0].ID, "Server.InternalError")
	if _, err := c.RunInstances(t.Context(), run("")); err != nil {
		t.Errorf("after one ended: %v", err)
	}
}

func TestImagesByParameter(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{})
	c, s := client(l), ssm.NewFromConfig(config(l, 1))
	for name, arch := range map[string]types.ArchitectureValues{
		"/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id":         "x86_64",
		"/aws/service/canonical/ubuntu/server/22.04/stable/current/arm64/hvm/ebs-gp2/ami-id":         "arm64",
		"/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id": "x86_64",
		"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64":                       "arm64",
		"/aws/service/neuron/dlami/multi-framework/ubuntu-22.04/latest/image_id":                     "x86_64",
	} {
		p, err := s.GetParameter(t.Context(), &ssm.GetParameterInput{Name: sdk.String(name)})
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.DescribeImages(t.Context(), &ec2.DescribeImagesInput{ImageIds: []string{*p.Parameter.Value}})
		if err != nil || len(out.Images) != 1 || out.Images[0].Architecture != arch {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	if _, err := s.GetParameter(t.Context(), &ssm.GetParameterInput{Name: sdk.String("/aws/service/canonical/ubuntu/server/1.04/x")}); code(err) != "ParameterNotFound" {
		t.Errorf("%v", err)
	}
	if _, err := c.DescribeImages(t.Context(), &ec2.DescribeImagesInput{ImageIds: []string{"ami-00000000000000000"}}); code(err) != "InvalidAMIID.NotFound" {
		t.Errorf("%v", err)
	}
}

func TestSpotPrices(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Prices: map[string]float64{small: 2, "p4d.24xlarge": 40}})
	out, err := client(l).DescribeSpotPriceHistory(t.Context(), &ec2.DescribeSpotPriceHistoryInput{InstanceTypes: []types.InstanceType{small}, ProductDescriptions: []string{"Linux/UNIX"}})
	if err != nil || len(out.SpotPriceHistory) < 3 || *out.SpotPriceHistory[0].SpotPrice != "1.000000" || *out.SpotPriceHistory[0].AvailabilityZone == *out.SpotPriceHistory[1].AvailabilityZone {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestPriceList asks as the pricing API's clients do.
func TestPriceList(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Prices: map[string]float64{small: 2, "p4d.24xlarge": 40}})
	ask := func(body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.URL(), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Target", "AWSPriceListService.GetProducts")
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+ec2lab.AccessKey+"/20260101/us-east-1/pricing/aws4_request, SignedHeaders=host, Signature=0")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	for _, tc := range []struct {
		body  string
		types int
		next  bool
	}{
		{`{"ServiceCode": "AmazonEC2"}`, 2, false},
		{`{"ServiceCode": "AmazonEC2", "MaxResults": 1}`, 1, true},
		{`{"ServiceCode": "AmazonEC2", "MaxResults": 1, "NextToken": "1"}`, 1, false},
		{`{"ServiceCode": "AmazonEC2", "Filters": [{"Type": "TERM_MATCH", "Field": "instanceType", "Value": "p4d.24xlarge"}, {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-west-2"}]}`, 1, false},
		{`{"ServiceCode": "AmazonEC2", "Filters": [{"Type": "TERM_MATCH", "Field": "operatingSystem", "Value": "Windows"}]}`, 0, false},
	} {
		s, out := ask(tc.body)
		var v struct {
			PriceList []string
			NextToken string
		}
		if err := json.Unmarshal([]byte(out), &v); s != 200 || err != nil || len(v.PriceList) != tc.types || (v.NextToken != "") != tc.next {
			t.Errorf("%s: %d %s", tc.body, s, out)
		}
		for _, p := range v.PriceList {
			if !strings.Contains(p, `"USD":"`) || !json.Valid([]byte(p)) {
				t.Errorf("%s", p)
			}
		}
	}
	if s, out := ask(`{"ServiceCode": "AmazonS3"}`); s != 400 || !strings.Contains(out, "NotFoundException") {
		t.Errorf("%d %s", s, out)
	}
}

// what a provider with the tag "owner" does.
func callsOfALife(t *testing.T, c *ec2.Client) error {
	t.Helper()
	ctx := t.Context()
	tags := []types.Tag{{Key: sdk.String("owner"), Value: sdk.String("us")}}
	out, err := c.RunInstances(ctx, run("", func(in *ec2.RunInstancesInput) {
		in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeInstance, Tags: tags}}
	}))
	if err != nil {
		return err
	}
	id := *out.Instances[0].InstanceId
	if _, err := c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{}); err != nil {
		return err
	}
	_, err = c.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
	return err
}

const policy = `{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
  {"Effect": "Allow", "Action": ["ec2:RunInstances"], "Resource": ["arn:aws:ec2:*::image/*", "arn:aws:ec2:*:*:subnet/*", "arn:aws:ec2:*:*:volume/*", "arn:aws:ec2:*:*:network-interface/*"]},
  {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "arn:aws:ec2:*:*:instance/*", "Condition": {"StringEquals": {"aws:RequestTag/owner": "us"}}},
  {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*", "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}}},
  {"Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/owner": "us"}}}
]}`

func TestPolicy(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Images: images()})
	c := client(l)
	strange := *create(t, c, run("")).InstanceId
	if err := l.SetPolicy([]byte(policy)); err != nil {
		t.Fatal(err)
	}
	if err := callsOfALife(t, c); err != nil {
		t.Errorf("what the policy allows: %v", err)
	}
	want := []string{"ec2:CreateTags", "ec2:DescribeInstances", "ec2:RunInstances", "ec2:TerminateInstances"}
	if got := l.PermissionsUsed(); !slices.Equal(got, want) {
		t.Errorf("used: %v", got)
	}
	if _, err := c.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{strange}}); code(err) != "UnauthorizedOperation" || !strings.Contains(err.Error(), "ec2:TerminateInstances") {
		t.Errorf("terminate what is not ours: %v", err)
	}
	if _, err := c.RunInstances(t.Context(), run("")); code(err) != "UnauthorizedOperation" {
		t.Errorf("run without the tag: %v", err)
	}
	if _, err := c.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: []string{strange}}); code(err) != "UnauthorizedOperation" {
		t.Errorf("stop: %v", err)
	}
	if _, err := servicequotas.NewFromConfig(config(l, 1)).ListServiceQuotas(t.Context(), &servicequotas.ListServiceQuotasInput{ServiceCode: sdk.String("ec2")}); code(err) != "AccessDeniedException" {
		t.Errorf("quotas: %v", err)
	}
	who, err := sts.NewFromConfig(config(l, 1)).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Account != l.Account() {
		t.Errorf("%+v, %v", who, err)
	}
	// Each statement is needed.
	for n := range 5 {
		parts := strings.Split(strings.TrimSuffix(policy, "\n]}"), "\n")
		lines := slices.Delete(parts[1:], n, n+1)
		doc := parts[0] + strings.TrimSuffix(strings.Join(lines, "\n"), ",") + "]}"
		if err := l.SetPolicy([]byte(doc)); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if err := callsOfALife(t, c); code(err) != "UnauthorizedOperation" {
			t.Errorf("without statement %d: %v", n+1, err)
		}
	}
	for _, bad := range []string{
		`{`, `{"Version": "2008-10-17", "Statement": []}`, `{"Version": "2012-10-17", "Statement": [{"Effect": "Maybe", "Action": "*", "Resource": "*"}]}`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*"}]}`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]}`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:Colour": "red"}}}]}`,
	} {
		if err := l.SetPolicy([]byte(bad)); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(policy))
	f.Add([]byte(`{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "NotAction": ["a:b"], "Resource": "*", "Condition": {"Null": {"aws:RequestTag/x": true}}}]}`))
	l := &ec2lab.Lab{}
	f.Fuzz(func(_ *testing.T, doc []byte) { _ = l.SetPolicy(doc) })
}

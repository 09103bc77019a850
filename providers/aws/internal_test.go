package aws

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"aloft/providers"
)

func TestDisks(t *testing.T) {
	t.Parallel()
	set, err := parse(map[string]string{"disk_size": "100GB", "disk_tier": "high"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		size int32
		tier string
		want string // "" = refused
	}{
		{0, "", "gp3 100 GB 7000 437"}, {0, "none", "gp3 100 GB 7000 437"}, {256, "low", "gp3 256 GB 0 0"}, {256, "medium", "gp3 256 GB 3500 218"},
		{256, "best", "gp3 256 GB 7000 437"}, {256, "ultra", "io2 256 GB 20000 0"},
		{8, "high", "gp3 8 GB 4000 437"}, {8, "ultra", "io2 8 GB 8000 0"}, {7, "medium", ""}, {256, "warp", ""},
	} {
		d, err := set.rootDisk(providers.NodeSpec{DiskGB: tt.size, DiskTier: tt.tier}, image{id: "ami-1", root: "/dev/xvda", diskGB: 8})
		got := ""
		if err == nil {
			got = fmt.Sprintf("%s %d GB %d %d", d.Ebs.VolumeType, sdk.ToInt32(d.Ebs.VolumeSize), sdk.ToInt32(d.Ebs.Iops), sdk.ToInt32(d.Ebs.Throughput))
			if !sdk.ToBool(d.Ebs.Encrypted) || !sdk.ToBool(d.Ebs.DeleteOnTermination) || sdk.ToString(d.DeviceName) != "/dev/xvda" {
				t.Errorf("disk %+v", d)
			}
		}
		if got != tt.want {
			t.Errorf("%d GB %q: %q (%v), want %q", tt.size, tt.tier, got, err, tt.want)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ key, value, problem string }{
		{"region", "us-east-1", ""}, {"region", "here", `"here" is no region`}, {"regions", "us-east-1, eu-west-3", ""}, {"regions", "us-gov-west-1", ""},
		{"regions", "us-east-1a", "no region"}, {"vpc", "research", ""}, {"subnets", "subnet-1,subnet-2", ""}, {"subnets", "net", "no subnet id"},
		{"image", "ami-0123456789abcdef0", ""}, {"image", "us-east-1=ami-0123456789abcdef0,us-west-2=/my/image", ""}, {"image", "ubuntu", "neither"},
		{"image_gpu", "moon=ami-0123456789abcdef0", "no region"}, {"use_internal_ips", "yes", "allowed: true, false"}, {"proxy_jump", "me@bastion:2222,other", ""},
		{"proxy_jump", "-oProxyCommand=evil", "is not"}, {"proxy_jump", "a b", "is not"}, {"proxy_jump", "$(x)", "is not"}, {"ssh_user", "root;", "no user name"},
		{"use_ssm", "maybe", "allowed: true"}, {"use_ssm", "true", "instance_profile"}, {"ssh_from", "none", ""}, {"ssh_from", "203.0.113.7/24,::/0", ""}, {"ssh_from", "everywhere", "no network"}, {"disk_size", "0", "allowed: 1"},
		{"disk_tier", "warp", "allowed: high, low, medium, ultra"}, {"color", "red", "no such setting; there are profile"},
	} {
		_, err := parse(map[string]string{tt.key: tt.value})
		if (err == nil) != (tt.problem == "") || err != nil && (!strings.Contains(err.Error(), tt.problem) || !strings.Contains(err.Error(), "setting "+tt.key)) {
			t.Errorf("%s: %s: %v, want %q", tt.key, tt.value, err, tt.problem)
		}
	}
	for in, want := range map[string]string{
		"": "", "bastion": "ssh -o BatchMode=yes -W '[%h]:%p' ssh://bastion", "a,me@b:2222": "ssh -o BatchMode=yes -W '[%h]:%p' -J a ssh://me@b:2222",
	} {
		if got := jump(in); got != want {
			t.Errorf("through %q: %q, want %q", in, got, want)
		}
	}
}

func TestFound(t *testing.T) {
	t.Parallel()
	const keys = "aws_access_key_id = AKIA\naws_secret_access_key = x\n"
	for _, tt := range []struct {
		name                string
		credentials, config string
		env, settings       map[string]string
		found               bool
		hint                string
	}{
		{name: "nothing", hint: "aws configure`"},
		{name: "keys in the environment", env: map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, found: true},
		{name: "half of the keys", env: map[string]string{"AWS_ACCESS_KEY_ID": "a"}},
		{name: "web identity", env: map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "f", "AWS_ROLE_ARN": "r"}, found: true},
		{name: "keys in the file", credentials: "[default]\n" + keys, found: true},
		{name: "keys of another profile", credentials: "[work]\n" + keys},
		{name: "keys of the named profile", credentials: "[work]\n" + keys, env: map[string]string{"AWS_PROFILE": "work"}, found: true},
		{name: "keys of the profile in the settings", credentials: "[work]\n" + keys, settings: map[string]string{"profile": "work"}, found: true},
		{name: "no such profile", credentials: "[work]\n" + keys, settings: map[string]string{"profile": "home"}, hint: "--profile home"},
		{name: "only a region", config: "[default]\nregion = eu-west-3\n"},
		{name: "SSO", config: "[profile work]\nsso_session = s\n", settings: map[string]string{"profile": "work"}, found: true},
		{name: "a role", config: "[default]\nrole_arn=arn:aws:iam::1:role/x\nsource_profile=y\n", found: true},
		{name: "an empty value", credentials: "[default]\naws_access_key_id =\n"},
		{name: "the role of the machine", settings: map[string]string{"use_instance_role": "true"}, found: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			if err := os.Mkdir(filepath.Join(home, ".aws"), 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"credentials": tt.credentials, "config": tt.config} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(home, ".aws", name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := found(providers.Config{Settings: tt.settings}, func(k string) (string, bool) {
				if k == "HOME" {
					return home, true
				}
				v, ok := tt.env[k]
				return v, ok
			})
			if (err == nil) != tt.found {
				t.Fatalf("found: %v, want %v", err, tt.found)
			}
			if e, ok := err.(*providers.Error); err != nil && (!ok || e.Kind != providers.Auth || !strings.Contains(e.Hint, tt.hint)) {
				t.Errorf("%v, hint %q, want %q", err, e.Hint, tt.hint)
			}
		})
	}
}

func TestFix(t *testing.T) {
	t.Parallel()
	for arn, want := range map[string]string{
		"arn:aws:iam::1:user/me":                                            "put-user-policy --user-name me ",
		"arn:aws:iam::1:user/team/me":                                       "put-user-policy --user-name me ",
		"arn:aws:sts::1:assumed-role/ci/session":                            "put-role-policy --role-name ci ",
		"arn:aws:sts::1:assumed-role/AWSReservedSSO_Data_Team_0123abc/me@x": "put-inline-policy-to-permission-set --instance-arn INSTANCE --permission-set-arn ARN_OF_Data_Team ",
		"": "put-user-policy --user-name USER ",
	} {
		if got := fix(arn); !strings.Contains(got, want) || !strings.Contains(got, "file://docs/aws-policy.json") {
			t.Errorf("%s: %q, want %q", arn, got, want)
		}
	}
}

func TestQuotaOf(t *testing.T) {
	t.Parallel()
	for typ, want := range map[string]string{
		"m7i.large": "L-1216C47A", "g5.xlarge": "L-DB2E81BA", "gr6.4xlarge": "L-DB2E81BA", "p5.48xlarge": "L-417A185B", "p4d.24xlarge": "L-417A185B",
		"trn1.2xlarge": "L-2C3B7624", "inf2.xlarge": "L-1945791B", "x2iedn.large": "L-7295265B", "u-6tb1.metal": "L-43DA4232", "dl1.24xlarge": "L-6E869C2A", "is4gen.large": "L-1216C47A", "oddity": "",
	} {
		if got, _ := quotaOf(typ, false); got != want {
			t.Errorf("%s: %s, want %s", typ, got, want)
		}
	}
	if got, _ := quotaOf("p5.48xlarge", true); got != "L-C4BD4855" {
		t.Errorf("p5 as spot: %s", got)
	}
	if got, _ := quotaOf("p4d.24xlarge", true); got != "L-7212CCBC" {
		t.Errorf("p4 as spot: %s", got)
	}
}

func FuzzFold(f *testing.F) {
	f.Add("Zoë Ångström (x)\x00")
	f.Fuzz(func(t *testing.T, s string) {
		if got := fold(s); fold(got) != got || len([]rune(got)) > maxTagValue {
			t.Errorf("%q became %q", s, got)
		}
	})
}

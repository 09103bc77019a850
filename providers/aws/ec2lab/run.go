package ec2lab

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reservation is what one RunInstances call made.
type reservation struct {
	digest  [32]byte
	records []*record
	ready   chan struct{}
	failed  *response
	id      string
}

var (
	asciiToken = regexp.MustCompile(`^[\x21-\x7e]{1,64}$`)
	amiID      = regexp.MustCompile(`^ami-[0-9a-f]{8,17}$`)
)

// subnetOf is the subnet that a RunInstances call names.
func subnetOf(q *request) string {
	if s := q.get("SubnetId"); s != "" {
		return s
	}
	return q.get("NetworkInterface.1.SubnetId")
}

// digest is what a client token is bound to.
func digest(form url.Values) [32]byte {
	v := url.Values{}
	for k, x := range form {
		if k != "Action" && k != "Version" && k != "ClientToken" {
			v[k] = x
		}
	}
	return sha256.Sum256([]byte(v.Encode()))
}

// runInstances makes each token's instances once.
func (l *Lab) runInstances(ctx context.Context, q *request) *response {
	token := q.get("ClientToken")
	if q.get("DryRun") == "true" {
		if _, out := l.validate(ctx, q); out != nil {
			return out
		}
		return failure(q, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	}
	if token == "" {
		res := &reservation{id: newID("r")}
		if out := l.launch(ctx, q, res); out != nil {
			return out
		}
		return l.reserved(q, res)
	}
	if !asciiToken.MatchString(token) {
		return failure(q, "InvalidParameterValue", "Invalid value '%s' for clientToken. Token must be at most 64 ASCII characters", token)
	}
	key := q.region + " " + token
	for {
		l.mu.Lock()
		res := l.tokens[key]
		mine := res == nil
		if mine {
			res = &reservation{digest: digest(q.form), ready: make(chan struct{}), id: newID("r")}
			l.tokens[key] = res
		}
		l.mu.Unlock()
		if mine {
			res.failed = l.launch(ctx, q, res)
			if res.failed != nil {
				// A token is bound by a success only.
				l.mu.Lock()
				delete(l.tokens, key)
				l.mu.Unlock()
			}
			close(res.ready)
			if res.failed != nil {
				return res.failed
			}
			return l.reserved(q, res)
		}
		<-res.ready
		if res.failed != nil {
			continue
		}
		if res.digest != digest(q.form) {
			return failure(q, "IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
		}
		if l.o.ReplayRefused && l.state(res.records[0]) == Terminated {
			return failure(q, "IdempotentInstanceTerminated", "The instance that this token started has been terminated.")
		}
		return l.reserved(q, res)
	}
}

// reserved is the answer about a reservation, as its instances are now.
func (l *Lab) reserved(q *request, res *reservation) *response {
	l.mu.Lock()
	defer l.mu.Unlock()
	var is []Instance
	for _, r := range res.records {
		is = append(is, r.cur)
	}
	return answerXML(q, l.reservationXML(res.id, is))
}

// facts are what validate learned.
type facts struct {
	typ   typeFacts
	arch  string
	root  string
	count int
	user  []byte
	key   string
	zone  string
	tags  map[string]string
}

// validate refuses what EC2 refuses and moto does not.
func (l *Lab) validate(ctx context.Context, q *request) (facts, *response) {
	var f facts
	no := func(code, format string, args ...any) (facts, *response) { return f, failure(q, code, format, args...) }
	for _, n := range []string{"ImageId", "MinCount", "MaxCount"} {
		if q.get(n) == "" && !(n == "ImageId" && q.form.Has("LaunchTemplate.LaunchTemplateId")) {
			return no("MissingParameter", "The request must contain the parameter %s", n)
		}
	}
	least, err1 := strconv.Atoi(q.get("MinCount"))
	most, err2 := strconv.Atoi(q.get("MaxCount"))
	if err1 != nil || err2 != nil || least < 1 || most < least {
		return no("InvalidParameterValue", "MinCount %s, MaxCount %s", q.get("MinCount"), q.get("MaxCount"))
	}
	f.count = most
	typ := q.get("InstanceType")
	if typ == "" {
		return no("MissingParameter", "The request must contain the parameter InstanceType")
	}
	var out *response
	if f.typ, out = l.typeFacts(ctx, q, typ); out != nil {
		return f, out
	}
	if !f.typ.exists {
		return no("InvalidParameterValue", "Invalid value '%s' for InstanceType.", typ)
	}
	image := q.get("ImageId")
	if !amiID.MatchString(image) {
		return no("InvalidAMIID.Malformed", "Invalid id: \"%s\" (expecting \"ami-...\")", image)
	}
	ami, ok := l.image(q.region, image)
	if !ok {
		return no("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", image)
	}
	f.arch, f.root = ami.arch, ami.root
	if !slices.Contains(f.typ.archs, ami.arch) {
		return no("InvalidParameterValue", "The architecture '%s' of the specified instance type does not match the architecture '%s' of the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again.", strings.Join(f.typ.archs, ","), ami.arch)
	}
	if key := q.get("KeyName"); key != "" {
		out := l.ask(ctx, q.region, "DescribeKeyPairs", map[string]string{"KeyName.1": key, "IncludePublicKey": "true"})
		if out.code != "" {
			return no("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", key)
		}
		var v struct {
			Keys []string `xml:"keySet>item>publicKey"`
		}
		if err := xml.Unmarshal(out.body, &v); err == nil && len(v.Keys) == 1 {
			f.key = strings.TrimSpace(v.Keys[0])
		}
	}
	if q.form.Has("NetworkInterface.1.DeviceIndex") && (q.form.Has("SubnetId") || q.form.Has("SecurityGroupId.1") || q.form.Has("SecurityGroup.1")) {
		return no("InvalidParameterCombination", "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request")
	}
	f.zone = q.get("Placement.AvailabilityZone")
	if id := subnetOf(q); id != "" {
		s, err := l.subnet(ctx, q.region, id)
		if err != nil {
			return no("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", id)
		}
		if f.zone != "" && f.zone != s.zone {
			return no("InvalidParameterValue", "The availability zone '%s' does not match the one of subnet '%s', %s", f.zone, id, s.zone)
		}
		f.zone = s.zone
	}
	if f.zone != "" && strings.HasPrefix(f.zone, q.region) && !slices.Contains(f.typ.zones, f.zone) {
		return no("Unsupported", "Your requested instance type (%s) is not supported in your requested Availability Zone (%s). Please retry your request by not specifying an Availability Zone or choosing %s.", typ, f.zone, strings.Join(f.typ.zones, ", "))
	}
	if g := q.get("Placement.GroupName"); g != "" {
		l.mu.Lock()
		_, ok := l.groups[q.region+" "+g]
		l.mu.Unlock()
		if !ok {
			return no("InvalidPlacementGroup.Unknown", "The Placement Group '%s' is unknown.", g)
		}
	}
	switch q.get("InstanceInitiatedShutdownBehavior") {
	case "", "stop", "terminate":
	default:
		return no("InvalidParameterValue", "Value (%s) for parameter instanceInitiatedShutdownBehavior is invalid.", q.get("InstanceInitiatedShutdownBehavior"))
	}
	user, err := base64.StdEncoding.DecodeString(q.get("UserData"))
	switch {
	case err != nil:
		return no("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
	case len(user) > 16<<10:
		return no("InvalidParameterValue", "User data is limited to 16384 bytes")
	}
	f.user = user
	if f.tags, out = tagSpecs(q, "instance"); out != nil {
		return f, out
	}
	if q.get("InstanceMarketOptions.MarketType") == "spot" {
		if out := l.spotTerms(q, f); out != nil {
			return f, out
		}
	}
	return f, l.withinQuota(q, f)
}

// spotTerms refuses spot requests that EC2 would refuse.
func (l *Lab) spotTerms(q *request, f facts) *response {
	const at = "InstanceMarketOptions.SpotOptions."
	if !f.typ.spot {
		return failure(q, "UnsupportedOperation", "Instance type %s does not support spot", q.get("InstanceType"))
	}
	if q.get(at+"SpotInstanceType") == "persistent" {
		return failure(q, "UnsupportedOperation", "the laboratory has no persistent Spot requests")
	}
	if b := q.get(at + "InstanceInterruptionBehavior"); b != "" && b != "terminate" {
		return failure(q, "InvalidParameterCombination", "The interruption behavior %s needs a persistent Spot request", b)
	}
	if s := q.get(at + "MaxPrice"); s != "" {
		max, err := strconv.ParseFloat(s, 64)
		if err != nil || max <= 0 {
			return failure(q, "InvalidParameterValue", "Invalid spot price %s", s)
		}
		if p := l.spotPrice(q.get("InstanceType")); p > max {
			return failure(q, "SpotMaxPriceTooLow", "Your Spot request price of %s is lower than the minimum required Spot request fulfillment price of %g.", s, p)
		}
	}
	return nil
}

// shape is a request without what differs from one call to the next in the same cluster.
func shape(q *request) string {
	v := url.Values{}
	for k, x := range q.form {
		if k != "ClientToken" && k != "UserData" && !strings.HasPrefix(k, "TagSpecification.") {
			v[k] = x
		}
	}
	return q.region + " " + v.Encode()
}

// fromMoto is what we read of moto's answer to RunInstances.
type fromMoto struct {
	Instances []struct {
		ID     string `xml:"instanceId"`
		Zone   string `xml:"placement>availabilityZone"`
		IP     string `xml:"privateIpAddress"`
		Subnet string `xml:"subnetId"`
		VPC    string `xml:"vpcId"`
		Groups []struct {
			ID string `xml:"groupId"`
		} `xml:"groupSet>item"`
		Nets []struct {
			Groups []struct {
				ID string `xml:"groupId"`
			} `xml:"groupSet>item"`
		} `xml:"networkInterfaceSet>item"`
	} `xml:"instancesSet>item"`
}

// launch makes instances; nil = they are.
func (l *Lab) launch(ctx context.Context, q *request, res *reservation) *response {
	f, out := l.validate(ctx, q)
	if out != nil {
		return out
	}
	key := shape(q)
	l.mu.Lock()
	l.shapes[key]++
	through := l.o.Through == 0 || l.shapes[key] <= l.o.Through
	var like *fromMoto
	if !through {
		like, _ = l.known["shape "+key].(*fromMoto)
	}
	l.mu.Unlock()
	inMoto := false
	if like == nil || len(like.Instances) == 0 {
		made := l.forward(ctx, q)
		if made.code != "" {
			return made
		}
		like = &fromMoto{}
		if err := xml.Unmarshal(made.body, like); err != nil || len(like.Instances) == 0 {
			return failure(q, "InternalError", "moto's answer cannot be read: %v", err)
		}
		inMoto = true
		l.mu.Lock()
		l.known["shape "+key] = like
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := range f.count {
		m := like.Instances[min(n, len(like.Instances)-1)]
		if !inMoto {
			m.ID = newID("i")
		}
		i := Instance{
			ID: m.ID, Region: q.region, Zone: m.Zone, Type: q.get("InstanceType"), Image: q.get("ImageId"), State: Pending, Token: q.get("ClientToken"),
			Spot: q.get("InstanceMarketOptions.MarketType") == "spot", Tags: f.tags, UserData: f.user, ShutdownBehavior: q.get("InstanceInitiatedShutdownBehavior"),
			Protected: q.get("DisableApiTermination") == "true", Launched: time.Now().UTC().Truncate(time.Second), Key: q.get("KeyName"), Subnet: m.Subnet, VPC: m.VPC,
			Placement: q.get("Placement.GroupName"), HTTPTokens: q.get("MetadataOptions.HttpTokens"), HTTPEndpoint: q.get("MetadataOptions.HttpEndpoint"),
			TagsInMetadata: q.get("MetadataOptions.InstanceMetadataTags") == "enabled", VCPUs: f.typ.vcpus, Arch: f.arch, RootDevice: f.root,
			Profile: q.get("IamInstanceProfile.Name"), publicKey: f.key, reservation: res.id, interfaces: 1,
		}
		if i.Profile == "" {
			_, i.Profile, _ = strings.Cut(q.get("IamInstanceProfile.Arn"), "instance-profile/")
		}
		if i.ShutdownBehavior == "" {
			i.ShutdownBehavior = "stop"
		}
		if i.Spot {
			i.spotRequest, i.spotState = newID("sir")[:12], "active"
		}
		for _, g := range m.Groups {
			i.Groups = append(i.Groups, g.ID)
		}
		for _, net := range m.Nets {
			for _, g := range net.Groups {
				if !slices.Contains(i.Groups, g.ID) {
					i.Groups = append(i.Groups, g.ID)
				}
			}
		}
		for n := 2; q.form.Has(fmt.Sprintf("NetworkInterface.%d.DeviceIndex", n)); n++ {
			i.interfaces++
		}
		// A subnet of the default network gives a public address unless the call says otherwise; EC2 gives none to a machine
		// with several interfaces.
		i.public = q.get("NetworkInterface.1.AssociatePublicIpAddress") != "false" && i.interfaces == 1
		if l.hosts == nil {
			l.counter++
			i.PrivateIP = fmt.Sprintf("172.31.%d.%d", l.counter>>8&255, l.counter&255)
		}
		r := &record{inMoto: inMoto, tokens: map[string]time.Time{}}
		r.cur = i
		l.setLocked(r, func(*Instance) {})
		l.instances[i.ID] = r
		l.order = append(l.order, r)
		res.records = append(res.records, r)
	}
	for _, r := range res.records {
		go l.turnOn(r)
	}
	return nil
}

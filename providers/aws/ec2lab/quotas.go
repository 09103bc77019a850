package ec2lab

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// bucket is a family of instance types that share a quota of vCPUs.
type bucket struct {
	code, name string
	spot       bool
	family     string
}

// buckets are EC2's, by their published quota codes.
func buckets() []bucket {
	return []bucket{
		{"L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", false, "standard"},
		{"L-DB2E81BA", "Running On-Demand G and VT instances", false, "g"},
		{"L-417A185B", "Running On-Demand P instances", false, "p"},
		{"L-74FC7D96", "Running On-Demand F instances", false, "f"},
		{"L-1945791B", "Running On-Demand Inf instances", false, "inf"},
		{"L-2C3B7624", "Running On-Demand Trn instances", false, "trn"},
		{"L-6E869C2A", "Running On-Demand DL instances", false, "dl"},
		{"L-7295265B", "Running On-Demand X instances", false, "x"},
		{"L-43DA4232", "Running On-Demand High Memory instances", false, "u"},
		{"L-F7808C92", "Running On-Demand HPC instances", false, "hpc"},
		{"L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", true, "standard"},
		{"L-3819A6DF", "All G and VT Spot Instance Requests", true, "g"},
		{"L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests", true, "p"},
		{"L-C4BD4855", "All P5 Spot Instance Requests", true, "p5"},
		{"L-88CF9481", "All F Spot Instance Requests", true, "f"},
		{"L-B5D1601B", "All Inf Spot Instance Requests", true, "inf"},
		{"L-6B0D517C", "All Trn Spot Instance Requests", true, "trn"},
		{"L-85EED4F7", "All DL Spot Instance Requests", true, "dl"},
		{"L-E3A00192", "All X Spot Instance Requests", true, "x"},
	}
}

// plenty is the quota of a bucket for which the test gave none.
const plenty = 100_000

var familyName = regexp.MustCompile(`^([a-z]+)(\d*)`)

// bucketOf is the bucket of an instance type.
func bucketOf(typ string, spot bool) bucket {
	m := familyName.FindStringSubmatch(typ)
	family := "standard"
	if m != nil {
		switch m[1] {
		case "g", "gr", "vt":
			family = "g"
		case "p":
			family = "p"
			if spot && m[2] == "5" {
				family = "p5"
			}
		case "f", "inf", "trn", "dl", "x", "u", "hpc":
			family = m[1]
		}
	}
	for _, b := range buckets() {
		if b.spot == spot && b.family == family {
			return b
		}
	}
	return buckets()[0]
}

// SetQuota sets a quota of vCPUs in a region by its code. Instances that run beyond it are refused.
func (l *Lab) SetQuota(region, code string, vcpus float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quotas[region+" "+code] = vcpus
}

func (l *Lab) quotaLocked(region, code string) float64 {
	if v, ok := l.quotas[region+" "+code]; ok {
		return v
	}
	return plenty
}

// withinQuota refuses what the account may not have.
func (l *Lab) withinQuota(q *request, f facts) *response {
	spot := q.get("InstanceMarketOptions.MarketType") == "spot"
	b := bucketOf(q.get("InstanceType"), spot)
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.quotaLocked(q.region, b.code)
	if limit >= plenty {
		return nil
	}
	have := 0
	for _, r := range l.order {
		if s := r.cur.State; r.cur.Region == q.region && (s == Pending || s == Running) && bucketOf(r.cur.Type, r.cur.Spot) == b {
			have += r.cur.VCPUs
		}
	}
	if float64(have+f.count*f.typ.vcpus) <= limit {
		return nil
	}
	if spot {
		return failure(q, "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
	}
	return failure(q, "VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of %g allows for the instance bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.", limit)
}

// serviceQuotas answers for the quotas of EC2.
func (l *Lab) serviceQuotas(q *request) *response {
	var in struct{ ServiceCode, QuotaCode string }
	if err := json.Unmarshal(q.json, &in); err != nil {
		return failure(q, "SerializationException", "%v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	quota := func(b bucket) map[string]any {
		return map[string]any{
			"ServiceCode": "ec2", "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)", "QuotaCode": b.code, "QuotaName": b.name,
			"QuotaArn": "arn:aws:servicequotas:" + q.region + ":" + l.account + ":ec2/" + b.code, "Value": l.quotaLocked(q.region, b.code),
			"Unit": "None", "Adjustable": true, "GlobalQuota": false,
		}
	}
	if in.ServiceCode != "ec2" {
		return failure(q, "NoSuchResourceException", "the laboratory has no quotas of %s", in.ServiceCode)
	}
	switch q.action {
	case "GetServiceQuota", "GetAWSDefaultServiceQuota":
		i := slices.IndexFunc(buckets(), func(b bucket) bool { return b.code == in.QuotaCode })
		if i < 0 {
			return failure(q, "NoSuchResourceException", "The request failed because the specified resource does not exist.")
		}
		return answerJSON(map[string]any{"Quota": quota(buckets()[i])})
	case "ListServiceQuotas", "ListAWSDefaultServiceQuotas":
		var all []map[string]any
		for _, b := range buckets() {
			all = append(all, quota(b))
		}
		return answerJSON(map[string]any{"Quotas": all})
	}
	return failure(q, "UnknownOperationException", "%s", strings.TrimSpace(q.action))
}

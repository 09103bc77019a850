package ec2lab

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// spotPrice is half of the price that the test gave; 0 = none given.
func (l *Lab) spotPrice(typ string) float64 { return l.o.Prices[typ] / 2 }

// spotPrices is the history of one moment: the price of each type in each zone, a cent more in each further zone.
func (l *Lab) spotPrices(ctx context.Context, q *request) *response {
	type priceXML struct {
		Type    string `xml:"instanceType"`
		Product string `xml:"productDescription"`
		Price   string `xml:"spotPrice"`
		At      string `xml:"timestamp"`
		Zone    string `xml:"availabilityZone"`
	}
	var out struct {
		RequestID string          `xml:"requestId"`
		Set       items[priceXML] `xml:"spotPriceHistorySet"`
		Next      string          `xml:"nextToken"`
	}
	types := q.list("InstanceType")
	named := len(types) > 0
	if !named {
		types = slices.Sorted(maps.Keys(l.o.Prices))
	}
	products := q.list("ProductDescription")
	fs := filters(q)
	if p := fs["product-description"]; len(products) == 0 {
		products = p
	}
	if len(products) == 0 {
		products = []string{"Linux/UNIX"}
	}
	for _, typ := range types {
		p := l.spotPrice(typ)
		f, bad := l.typeFacts(ctx, q, typ)
		switch {
		case bad != nil:
			return bad
		case !f.exists && !named:
			continue
		case !f.exists:
			return failure(q, "InvalidParameterValue", "Invalid value '%s' for InstanceType.", typ)
		case p == 0 || !f.spot || !slices.Contains(products, "Linux/UNIX"):
			continue
		}
		for n, zone := range f.zones {
			if z := q.get("AvailabilityZone"); z != "" && z != zone {
				continue
			}
			out.Set.Items = append(out.Set.Items, priceXML{typ, "Linux/UNIX", fmt.Sprintf("%.6f", p+float64(n)/100), time.Now().UTC().Format(time.RFC3339), zone})
		}
	}
	return answerXML(q, out)
}

// pricing is the price list of EC2 for Linux on shared machines.
func (l *Lab) pricing(ctx context.Context, q *request) *response {
	if q.action != "GetProducts" {
		return failure(q, "UnknownOperationException", "%s", q.action)
	}
	var in struct {
		ServiceCode string
		Filters     []struct{ Type, Field, Value string }
		NextToken   string
		MaxResults  int
	}
	if err := json.Unmarshal(q.json, &in); err != nil {
		return failure(q, "SerializationException", "%v", err)
	}
	if in.ServiceCode != "AmazonEC2" {
		return failure(q, "NotFoundException", "the laboratory sells only AmazonEC2, not %s", in.ServiceCode)
	}
	region := q.region
	for _, f := range in.Filters {
		if f.Field == "regionCode" {
			region = f.Value
		}
	}
	from := 0
	if in.NextToken != "" {
		var err error
		if from, err = strconv.Atoi(in.NextToken); err != nil {
			return failure(q, "InvalidNextTokenException", "%s", in.NextToken)
		}
	}
	size := in.MaxResults
	if size <= 0 || size > 100 {
		size = 100
	}
	list := []string{}
	next, n := "", 0
	for _, typ := range slices.Sorted(maps.Keys(l.o.Prices)) {
		facts, bad := l.typeFacts(ctx, &request{region: region, service: "ec2"}, typ)
		if bad != nil || !facts.exists || len(facts.zones) == 0 {
			continue
		}
		attributes := map[string]string{
			"instanceType": typ, "regionCode": region, "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used",
			"licenseModel": "No License required", "marketoption": "OnDemand", "vcpu": strconv.Itoa(facts.vcpus), "servicecode": "AmazonEC2",
			"currentGeneration": "Yes", "operation": "RunInstances", "locationType": "AWS Region", "productFamily": "Compute Instance",
		}
		pass := true
		for _, f := range in.Filters {
			pass = pass && attributes[f.Field] == f.Value
		}
		if !pass {
			continue
		}
		if n++; n <= from {
			continue
		}
		if len(list) == size {
			next = strconv.Itoa(n - 1)
			break
		}
		b, err := json.Marshal(map[string]any{
			"product":     map[string]any{"productFamily": "Compute Instance", "attributes": attributes, "sku": "LAB" + typ},
			"serviceCode": "AmazonEC2", "version": "laboratory", "publicationDate": time.Now().UTC().Format(time.RFC3339),
			"terms": map[string]any{"OnDemand": map[string]any{"LAB" + typ + ".T": map[string]any{"sku": "LAB" + typ, "priceDimensions": map[string]any{
				"LAB" + typ + ".T.D": map[string]any{"unit": "Hrs", "beginRange": "0", "endRange": "Inf", "pricePerUnit": map[string]string{"USD": fmt.Sprintf("%.10f", l.o.Prices[typ])}},
			}}}},
		})
		if err != nil {
			return failure(q, "InternalErrorException", "%v", err)
		}
		list = append(list, string(b))
	}
	out := map[string]any{"FormatVersion": "aws_v1", "PriceList": list}
	if next != "" {
		out["NextToken"] = next
	}
	return answerJSON(out)
}

// spotRequests tells of the requests behind spot instances.
func (l *Lab) spotRequests(_ context.Context, q *request) *response {
	type requestXML struct {
		ID       string `xml:"spotInstanceRequestId"`
		State    string `xml:"state"`
		Type     string `xml:"type"`
		Instance string `xml:"instanceId"`
		Status   struct {
			Code string `xml:"code"`
		} `xml:"status"`
	}
	var out struct {
		RequestID string            `xml:"requestId"`
		Set       items[requestXML] `xml:"spotInstanceRequestSet"`
	}
	ids := q.list("SpotInstanceRequestId")
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.order {
		if i := r.cur; i.Spot && i.Region == q.region && (len(ids) == 0 || slices.Contains(ids, i.spotRequest)) {
			x := requestXML{ID: i.spotRequest, State: i.spotState, Type: "one-time", Instance: i.ID}
			x.Status.Code = "fulfilled"
			if i.State == Terminated {
				x.Status.Code = "instance-terminated-by-user"
				if i.Reason == spotReason {
					x.Status.Code = "instance-terminated-no-capacity"
				}
			}
			out.Set.Items = append(out.Set.Items, x)
		}
	}
	if len(ids) > 0 && len(out.Set.Items) < len(ids) {
		return failure(q, "InvalidSpotInstanceRequestID.NotFound", "The spot instance request ID does not exist")
	}
	return answerXML(q, out)
}

// cancelSpot cancels requests; their instances go on.
func (l *Lab) cancelSpot(_ context.Context, q *request) *response {
	type oneXML struct {
		XMLName xml.Name `xml:"item"`
		ID      string   `xml:"spotInstanceRequestId"`
		State   string   `xml:"state"`
	}
	var out struct {
		RequestID string   `xml:"requestId"`
		Set       []oneXML `xml:"spotInstanceRequestSet>item"`
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range q.list("SpotInstanceRequestId") {
		n := slices.IndexFunc(l.order, func(r *record) bool { return r.cur.spotRequest == id && r.cur.Region == q.region })
		if n < 0 {
			return failure(q, "InvalidSpotInstanceRequestID.NotFound", "The spot instance request ID '%s' does not exist", id)
		}
		l.setLocked(l.order[n], func(i *Instance) { i.spotState = "cancelled" })
		out.Set = append(out.Set, oneXML{ID: id, State: "cancelled"})
	}
	return answerXML(q, out)
}

package ec2lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

type imageFacts struct{ arch, root, name string }

// published are the public parameters whose images exist in every region of the laboratory.
func published() []*regexp.Regexp {
	return []*regexp.Regexp{
		regexp.MustCompile(`^/aws/service/canonical/ubuntu/server/(?:20\.04|22\.04|24\.04)/stable/current/(amd64|arm64)/hvm/ebs-gp[23]/ami-id$`),
		regexp.MustCompile(`^/aws/service/deeplearning/ami/(x86_64|arm64)/[a-z0-9.-]+-(?:ubuntu-2[24]\.04|amazon-linux-2023)/latest/ami-id$`),
		regexp.MustCompile(`^/aws/service/neuron/dlami/[a-z0-9.-]+/(?:ubuntu-2[24]\.04|amazon-linux-2023)/latest/image_id()$`),
		regexp.MustCompile(`^/aws/service/ami-amazon-linux-latest/al2023-ami-(?:minimal-)?kernel-[a-z0-9.]+-(x86_64|arm64)$`),
	}
}

// publishedImage is the image that a public parameter names.
func (l *Lab) publishedImage(region, parameter string) (id string, f imageFacts, ok bool) {
	for _, p := range published() {
		m := p.FindStringSubmatch(parameter)
		if m == nil {
			continue
		}
		sum := sha256.Sum256([]byte(region + parameter))
		f = imageFacts{arch: "x86_64", root: "/dev/sda1", name: parameter}
		if m[1] == "arm64" {
			f.arch = "arm64"
		}
		if strings.Contains(parameter, "amazon-linux") {
			f.root = "/dev/xvda"
		}
		id = "ami-" + hex.EncodeToString(sum[:])[:17]
		l.mu.Lock()
		l.known["image "+region+" "+id] = f
		l.mu.Unlock()
		return id, f, true
	}
	return "", f, false
}

// image is an image of a region: one that a parameter of it named before, or one of Options.Images.
func (l *Lab) image(region, id string) (imageFacts, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f, ok := l.known["image "+region+" "+id].(imageFacts); ok {
		return f, true
	}
	arch, ok := l.o.Images[id]
	return imageFacts{arch, "/dev/sda1", id}, ok
}

// getParameter answers for public images; other parameters are moto's.
func (l *Lab) getParameter(ctx context.Context, q *request) *response {
	var in struct{ Name string }
	if err := json.Unmarshal(q.json, &in); err != nil {
		return failure(q, "SerializationException", "%v", err)
	}
	if strings.HasPrefix(in.Name, "/aws/service/") {
		id, _, ok := l.publishedImage(q.region, in.Name)
		if !ok {
			return failure(q, "ParameterNotFound", "%s not found.", in.Name)
		}
		return answerJSON(map[string]any{"Parameter": map[string]any{
			"Name": in.Name, "Type": "String", "Value": id, "Version": 1, "DataType": "aws:ec2:image", "ARN": "arn:aws:ssm:" + q.region + "::parameter" + in.Name,
		}})
	}
	return l.forward(ctx, q)
}

// describeImages answers for the laboratory's images, by id.
func (l *Lab) describeImages(_ context.Context, q *request) *response {
	type ebsXML struct {
		Size int    `xml:"volumeSize"`
		Type string `xml:"volumeType"`
	}
	type diskXML struct {
		Name string `xml:"deviceName"`
		EBS  ebsXML `xml:"ebs"`
	}
	type imageXML struct {
		ID       string         `xml:"imageId"`
		State    string         `xml:"imageState"`
		Owner    string         `xml:"imageOwnerId"`
		Public   bool           `xml:"isPublic"`
		Arch     string         `xml:"architecture"`
		Type     string         `xml:"imageType"`
		Name     string         `xml:"name"`
		RootType string         `xml:"rootDeviceType"`
		RootName string         `xml:"rootDeviceName"`
		Disks    items[diskXML] `xml:"blockDeviceMapping"`
		Virt     string         `xml:"virtualizationType"`
	}
	var out struct {
		RequestID string          `xml:"requestId"`
		Set       items[imageXML] `xml:"imagesSet"`
	}
	ids := q.list("ImageId")
	if len(ids) == 0 {
		l.mu.Lock()
		for key := range l.known {
			if id, ok := strings.CutPrefix(key, "image "+q.region+" "); ok {
				ids = append(ids, id)
			}
		}
		l.mu.Unlock()
		for id := range l.o.Images {
			ids = append(ids, id)
		}
		slices.Sort(ids)
	}
	for _, id := range ids {
		if !amiID.MatchString(id) {
			return failure(q, "InvalidAMIID.Malformed", "Invalid id: \"%s\" (expecting \"ami-...\")", id)
		}
		f, ok := l.image(q.region, id)
		if !ok {
			return failure(q, "InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
		}
		size := 8
		if strings.Contains(f.name, "deeplearning") || strings.Contains(f.name, "neuron") {
			size = 65
		}
		out.Set.Items = append(out.Set.Items, imageXML{
			ID: id, State: "available", Owner: "099720109477", Public: true, Arch: f.arch, Type: "machine", Name: f.name, RootType: "ebs", RootName: f.root,
			Disks: items[diskXML]{[]diskXML{{f.root, ebsXML{size, "gp3"}}}}, Virt: "hvm",
		})
	}
	return answerXML(q, out)
}

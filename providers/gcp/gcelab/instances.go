package gcelab

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// instance is one virtual machine. Its fields are guarded by the lab's lock.
type instance struct {
	lab     *Lab
	zone    string
	name    string
	body    object
	created time.Time
	life    int // counts changes of state: what was planned for an earlier one does not happen
	gone    bool
	onGone  []func()
	history []version
	serial  []string
	image   string // project of its boot disk's image

	host hostState
}

// version is what lists show of an instance from an instant on; nil = nothing.
type version struct {
	at   time.Time
	body object
}

func (in *instance) key() string    { return in.zone + "/" + in.name }
func (in *instance) path() string   { return "zones/" + in.zone + "/instances/" + in.name }
func (in *instance) status() string { return text(in.body, "status") }

func (in *instance) account() string {
	for _, sa := range list(in.body, "serviceAccounts") {
		return text(sa, "email")
	}
	return ""
}

// set changes the state of an instance.
func (l *Lab) set(in *instance, status string) {
	in.body["status"] = status
	in.life++
	l.note(in)
}

// note remembers how an instance looks from now on.
func (l *Lab) note(in *instance) {
	if l.o.ListingLag <= 0 {
		return
	}
	v := version{at: l.clock.now()}
	if !in.gone {
		if c, ok := clone(in.body).(object); ok {
			v.body = c
		}
	}
	in.history = append(in.history, v)
}

func clone(v any) any {
	switch t := v.(type) {
	case object:
		out := make(object, len(t))
		for k, e := range t {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, e := range t {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

// shown is how lists show an instance now; nil = not at all.
func (l *Lab) shown(in *instance) object {
	if l.o.ListingLag <= 0 {
		if in.gone {
			return nil
		}
		return in.body
	}
	limit := l.clock.now().Add(-l.o.ListingLag)
	for i := len(in.history) - 1; i >= 0; i-- {
		if !in.history[i].at.After(limit) {
			return in.history[i].body
		}
	}
	return nil
}

func (l *Lab) instance(c *call) (*instance, *apiError) {
	zone, name := c.params["zone"], c.params["instance"]
	if in := l.instances[zone+"/"+name]; in != nil && !in.gone {
		return in, nil
	}
	for _, in := range l.instances {
		if in.zone == zone && !in.gone && text(in.body, "id") == name {
			return in, nil
		}
	}
	return nil, notFound("projects/" + l.o.Project + "/zones/" + zone + "/instances/" + name)
}

func getInstance(l *Lab, c *call) (object, *apiError) {
	in, bad := l.instance(c)
	if bad != nil {
		return nil, bad
	}
	return in.body, nil
}

func listInstances(l *Lab, c *call) (object, *apiError) {
	var all []object
	for _, in := range l.instances {
		if in.zone == c.params["zone"] {
			if b := l.shown(in); b != nil {
				all = append(all, b)
			}
		}
	}
	return l.page(c, "compute#instanceList", c.scope()+"/instances", all)
}

func aggregatedInstances(l *Lab, c *call) (object, *apiError) {
	var all []scoped
	for _, in := range l.instances {
		if b := l.shown(in); b != nil {
			all = append(all, scoped{"zones/" + in.zone, b})
		}
	}
	return l.aggregate(c, "compute#instanceAggregatedList", "instances", all)
}

func insertInstance(l *Lab, c *call) (object, *apiError) {
	zone, name := c.params["zone"], text(c.body, "name")
	op, bad := l.again(c)
	if op != nil || bad != nil {
		return opBody(op), bad
	}
	if in := l.instances[zone+"/"+name]; in != nil && !in.gone {
		return nil, refuse(http.StatusConflict, "alreadyExists", "The resource 'projects/%s/zones/%s/instances/%s' already exists", l.o.Project, zone, name)
	}
	body, bad := l.instanceBody(c)
	if bad != nil {
		return nil, bad
	}
	in := &instance{lab: l, zone: zone, name: name, created: l.clock.now(), body: body}
	for _, d := range list(c.body, "disks") {
		if img, ok := l.findImage(text(inner(d, "initializeParams"), "sourceImage")); ok && in.image == "" {
			in.image = img.project
		}
	}
	op = l.start(c, "zones/"+zone, "insert", body)
	fails := l.operationError(c.rule, c)
	if fails == nil {
		fails = l.overQuota(in)
	}
	l.instances[in.key()] = in
	l.set(in, "PROVISIONING")
	life := in.life
	l.clock.after(l.o.OperationTime/2, func() {
		switch {
		case in.life != life:
			l.finish(op, resourceGone(l, in))
		case fails != nil:
			l.remove(in)
			l.finish(op, fails)
		default:
			l.set(in, "STAGING")
			l.boot(in, op)
		}
	})
	return opBody(op), nil
}

func resourceGone(l *Lab, in *instance) *opError {
	return &opError{code: "RESOURCE_NOT_FOUND", status: http.StatusNotFound, text: "NOT FOUND",
		message: "The resource 'projects/" + l.o.Project + "/" + in.path() + "' was not found"}
}

var (
	labelKey   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	labelValue = regexp.MustCompile(`^[a-z0-9_-]{0,63}$`)
)

func checkLabels(field string, labels object) *apiError {
	if len(labels) > 64 {
		return invalid(field, "", "At most 64 labels are allowed.")
	}
	for k, v := range labels {
		if !labelKey.MatchString(k) {
			return invalid(field, k, "Label key '%s' violates format constraints. The key must start with a lowercase character, can only contain lowercase letters, numeric characters, underscores and dashes. The key can be at most 63 characters long. International characters are allowed.", k)
		}
		if s, _ := v.(string); !labelValue.MatchString(s) {
			return invalid(field, s, "Label value '%s' violates format constraints. The value can only contain lowercase letters, numeric characters, underscores and dashes. The value can be at most 63 characters long. International characters are allowed.", s)
		}
	}
	return nil
}

// instanceBody is the resource that an insert makes, or the refusal of what cannot be.
func (l *Lab) instanceBody(c *call) (object, *apiError) {
	zone := c.params["zone"]
	if !l.knownZone(zone) {
		return nil, refuse(http.StatusBadRequest, "invalid", "Invalid value for field 'zone': '%s'. Unknown zone.", zone)
	}
	if c.params["sourceInstanceTemplate"] != "" || c.params["sourceMachineImage"] != "" {
		return nil, refuse(http.StatusNotImplemented, "notImplemented", "The lab has no instance templates and no machine images.")
	}
	in, _ := clone(c.body).(object)
	mt, bad := l.checkMachine(in, zone)
	if bad != nil {
		return nil, bad
	}
	if bad := checkScheduling(in, mt.count > 0 || len(list(in, "guestAccelerators")) > 0); bad != nil {
		return nil, bad
	}
	if bad := checkLabels("resource.labels", inner(in, "labels")); bad != nil {
		return nil, bad
	}
	if bad := checkMetadata(inner(in, "metadata")); bad != nil {
		return nil, bad
	}
	if bad := l.fillDisks(in, zone); bad != nil {
		return nil, bad
	}
	if bad := l.fillNetwork(in, zone); bad != nil {
		return nil, bad
	}
	if bad := l.checkPolicies(in, zone); bad != nil {
		return nil, bad
	}
	name := text(in, "name")
	in["kind"], in["id"], in["creationTimestamp"] = "compute#instance", l.id(), stamp(l.clock.now())
	in["selfLink"] = l.link("zones", zone, "instances", name)
	in["zone"], in["machineType"] = l.link("zones", zone), l.link("zones", zone, "machineTypes", mt.name)
	in["cpuPlatform"], in["startRestricted"] = "Intel Broadwell", false
	if in["deletionProtection"] == nil {
		in["deletionProtection"] = false
	}
	if mt.accelerator != "" {
		in["guestAccelerators"] = []any{object{"acceleratorType": l.link("zones", zone, "acceleratorTypes", mt.accelerator), "acceleratorCount": mt.count}}
	}
	for _, f := range []string{"metadata", "tags"} {
		if inner(in, f) == nil {
			in[f] = object{}
		}
		inner(in, f)["fingerprint"] = fingerprint(in[f])
	}
	inner(in, "metadata")["kind"] = "compute#metadata"
	in["labelFingerprint"] = fingerprint(in["labels"])
	in["fingerprint"] = fingerprint(in)
	for _, sa := range list(in, "serviceAccounts") {
		if text(sa, "email") == "default" {
			sa["email"] = projectNumber + "-compute@developer.gserviceaccount.com"
		}
	}
	return in, nil
}

// checkMachine checks the machine type and the accelerators attached to it.
func (l *Lab) checkMachine(in object, zone string) (machineType, *apiError) {
	link := text(in, "machineType")
	if link == "" {
		return machineType{}, invalid("resource.machineType", "", "The machine type must be specified.")
	}
	parts := strings.Split(partial(link), "/")
	if n := len(parts); n < 4 || parts[n-2] != "machineTypes" || parts[n-4] != "zones" {
		return machineType{}, invalid("resource.machineType", link, "The URL is malformed.")
	} else if parts[n-3] != zone {
		return machineType{}, invalid("resource.machineType", link, "The machine type must be in the zone of the instance, '%s'.", zone)
	}
	mt, ok := l.types[last(link)]
	if !ok || !mt.in(zone) {
		return machineType{}, refuse(http.StatusBadRequest, "invalid", "Invalid value for field 'resource.machineType': '%s'. Machine type with name '%s' does not exist in zone '%s'.", link, last(link), zone)
	}
	for i, g := range list(in, "guestAccelerators") {
		field := fmt.Sprintf("resource.guestAccelerators[%d].acceleratorType", i)
		t := text(g, "acceleratorType")
		n, _ := g["acceleratorCount"].(float64)
		a, ok := l.accelerator(last(t), zone)
		switch {
		case !ok:
			return mt, notFound("projects/" + l.o.Project + "/zones/" + zone + "/acceleratorTypes/" + last(t))
		case mt.accelerator != "" && (mt.accelerator != a.name || int(n) != mt.count):
			return mt, invalid(field, t, "The machine type %s comes with %d %s.", mt.name, mt.count, mt.accelerator)
		case mt.accelerator == "" && (!a.attached || !strings.HasPrefix(mt.name, "n1-")):
			return mt, refuse(http.StatusBadRequest, "badRequest", "[%s, %s] features are not compatible for creating instance.", mt.name, a.name)
		case mt.accelerator == "" && (n < 1 || int(n) > a.most || int(n)&(int(n)-1) != 0):
			return mt, invalid(field, t, "Invalid accelerator count: %d.", int(n))
		}
		g["acceleratorType"] = l.link("zones", zone, "acceleratorTypes", a.name)
	}
	return mt, nil
}

func (l *Lab) accelerator(name, zone string) (accelerator, bool) {
	for _, a := range accelerators() {
		if a.name == name && contains(a.zones, zone) {
			return a, true
		}
	}
	return accelerator{}, false
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// attachment is the first accelerator that a request attaches, as Google's errors write it.
func attachment(in object) string {
	for _, g := range list(in, "guestAccelerators") {
		n, _ := g["acceleratorCount"].(float64)
		return last(text(g, "acceleratorType")) + ":" + strconv.Itoa(int(n))
	}
	return ""
}

// fillDisks checks the disks and fills in what the place decides.
func (l *Lab) fillDisks(in object, zone string) *apiError {
	disks := list(in, "disks")
	if len(disks) == 0 {
		return invalid("resource.disks", "", "Boot disk must be specified.")
	}
	boots := 0
	for i, d := range disks {
		field := fmt.Sprintf("resource.disks[%d]", i)
		if boot, _ := d["boot"].(bool); boot {
			boots++
		}
		p := inner(d, "initializeParams")
		if p == nil {
			return invalid(field+".source", text(d, "source"), "The lab attaches no disks that exist already.")
		}
		img, ok := l.findImage(text(p, "sourceImage"))
		if !ok && text(p, "sourceImage") != "" {
			return invalid(field+".initializeParams.sourceImage", text(p, "sourceImage"), "The referenced image resource cannot be found.")
		}
		if boot, _ := d["boot"].(bool); boot && !ok {
			return invalid(field+".initializeParams.sourceImage", "", "A boot disk needs an image.")
		}
		size := max(img.gb, 10)
		if s := text(p, "diskSizeGb"); s != "" {
			n, err := strconv.Atoi(s)
			if err != nil || n > 65536 {
				return invalid(field+".initializeParams.diskSizeGb", s, "Disk size must be between 10 and 65536 GB.")
			}
			if n < img.gb {
				return invalid(field+".initializeParams.diskSizeGb", s, "Requested disk size cannot be smaller than the image size (%d GB)", img.gb)
			}
			size = n
		}
		if t := last(text(p, "diskType")); t != "" && !contains(diskTypes(), t) {
			return invalid(field+".initializeParams.diskType", text(p, "diskType"), "The referenced diskType resource cannot be found.")
		}
		name := text(p, "diskName")
		if name == "" {
			name = text(in, "name")
			if i > 0 {
				name += "-" + strconv.Itoa(i)
			}
		}
		if bad := checkLabels(field+".initializeParams.labels", inner(p, "labels")); bad != nil {
			return bad
		}
		device := text(d, "deviceName")
		if device == "" {
			device = "persistent-disk-" + strconv.Itoa(i)
		}
		keep, _ := d["autoDelete"].(bool)
		boot, _ := d["boot"].(bool)
		in["disks"].([]any)[i] = object{
			"kind": "compute#attachedDisk", "type": "PERSISTENT", "mode": "READ_WRITE", "index": i, "boot": boot, "autoDelete": keep,
			"deviceName": device, "diskSizeGb": strconv.Itoa(size), "interface": "SCSI", "architecture": orElse(img.arch, "X86_64"),
			"source": l.link("zones", zone, "disks", name),
		}
	}
	if boots != 1 {
		return invalid("resource.disks", "", "Exactly one boot disk must be specified.")
	}
	return nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// findImage finds an image by a full or partial URL, of itself or of its family.
func (l *Lab) findImage(link string) (image, bool) {
	parts := strings.Split(partial(link), "/")
	project, name, ofFamily := "", "", false
	switch n := len(parts); {
	case n >= 6 && parts[n-2] == "family" && parts[n-3] == "images" && parts[n-4] == "global":
		project, name, ofFamily = parts[n-5], parts[n-1], true
	case n >= 5 && parts[n-2] == "imageFamilyViews" && parts[n-4] == "zones":
		project, name, ofFamily = parts[n-5], parts[n-1], true
	case n >= 5 && parts[n-2] == "images" && parts[n-3] == "global":
		project, name = parts[n-4], parts[n-1]
	case n >= 3 && parts[0] == "global" && parts[1] == "images":
		project, name, ofFamily = l.o.Project, parts[n-1], parts[2] == "family" && n == 4
	default:
		return image{}, false
	}
	for _, i := range l.images {
		if i.project == project && ((ofFamily && i.family == name) || (!ofFamily && i.name == name)) {
			return i, true
		}
	}
	return image{}, false
}

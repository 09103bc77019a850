package gcelab_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"aloft/providers/gcp/gcelab"
)

const goodBody = `{"name": "vm1", "machineType": "zones/us-central1-a/machineTypes/e2-small", "disks": [{"boot": true, "autoDelete": true,
	"initializeParams": {"sourceImage": "projects/debian-cloud/global/images/family/debian-12", "diskSizeGb": "20"}}], "networkInterfaces": [{"network": "global/networks/default"}]}`

// with is goodBody with a top-level field replaced.
func with(t *testing.T, field, value string) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(goodBody), &m); err != nil {
		t.Fatal(err)
	}
	delete(m, field)
	if value != "" {
		m[field] = json.RawMessage(value)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestBadRequests sends what Google's documents, or the rules written beside them, do not allow.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	l := newLab(t, gcelab.Options{})
	const insert = "zones/us-central1-a/instances"
	for _, c := range []struct {
		name, query, body string
		status            int
		reason, says      string
	}{
		{"unknown field", insert, with(t, "nmae", `"x"`), 400, "badRequest", `Unknown name \"nmae\" at 'resource': Cannot find field.`},
		{"unknown field inside", insert, with(t, "scheduling", `{"maxRun": {}}`), 400, "badRequest", `Unknown name \"maxRun\" at 'resource.scheduling'`},
		{"wrong type", insert, with(t, "labels", `["x"]`), 400, "invalid", "resource.labels"},
		{"text for a boolean", insert, with(t, "canIpForward", `"yes"`), 400, "invalid", "TYPE_BOOLEAN"},
		{"unknown enum", insert, with(t, "scheduling", `{"provisioningModel": "CHEAP"}`), 400, "invalid", "TYPE_ENUM"},
		{"bad pattern", insert, with(t, "name", `"VM_1"`), 400, "invalid", "Must be a match of regex"},
		{"no name", insert, with(t, "name", ""), 400, "required", "resource.name"},
		{"no number", insert, with(t, "disks", `[{"boot": true, "initializeParams": {"diskSizeGb": "many"}}]`), 400, "invalid", "diskSizeGb"},
		{"too large a number", insert, with(t, "guestAccelerators", `[{"acceleratorCount": 3000000000}]`), 400, "invalid", "TYPE_INT32"},
		{"no JSON", insert, `{"name": `, 400, "parseError", "Invalid JSON"},
		{"unknown parameter", insert + "?zoen=x", goodBody, 400, "badRequest", "zoen"},
		{"bad path parameter", "zones/US/instances", goodBody, 400, "invalidParameter", "zone"},
		{"unknown zone", "zones/us-central1-q/instances", goodBody, 400, "invalid", "Unknown zone"},
		{"bad request id", insert + "?requestId=1", goodBody, 400, "invalid", "UUID"},
		{"unknown machine type", insert, with(t, "machineType", `"zones/us-central1-a/machineTypes/e9-huge"`), 400, "invalid", "does not exist in zone"},
		{"another zone's type", insert, with(t, "machineType", `"zones/us-central1-b/machineTypes/e2-small"`), 400, "invalid", "machineType"},
		{"unknown image", insert, strings.Replace(goodBody, "debian-12", "debian-1", 1), 400, "invalid", "The referenced image resource cannot be found"},
		{"small disk", insert, strings.Replace(goodBody, `"20"`, `"5"`, 1), 400, "invalid", "cannot be smaller than the image size"},
		{"no disk", insert, with(t, "disks", ""), 400, "invalid", "Boot disk"},
		{"no network", insert, with(t, "networkInterfaces", ""), 400, "invalid", "At least one network interface"},
		{"unknown network", insert, with(t, "networkInterfaces", `[{"network": "global/networks/other"}]`), 400, "invalid", "cannot be found"},
		{"bad label", insert, with(t, "labels", `{"Owner": "me"}`), 400, "invalid", "Label key"},
		{"bad label value", insert, with(t, "labels", `{"owner": "Me@x"}`), 400, "invalid", "Label value"},
		{"spot that restarts", insert, with(t, "scheduling", `{"provisioningModel": "SPOT", "automaticRestart": true}`), 400, "badRequest", "automaticRestart"},
		{"limit without action", insert, with(t, "scheduling", `{"maxRunDuration": {"seconds": "3600"}}`), 400, "badRequest", "termination action"},
		{"short limit", insert, with(t, "scheduling", `{"maxRunDuration": {"seconds": "5"}, "instanceTerminationAction": "DELETE"}`), 400, "invalid", "30 seconds"},
		{"GPU on E2", insert, with(t, "guestAccelerators", `[{"acceleratorType": "zones/us-central1-a/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 1}]`), 400, "badRequest", "not compatible"},
		{"twice the same metadata", insert, with(t, "metadata", `{"items": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}`), 400, "invalid", "Duplicate"},
		{"unknown reservation", insert, with(t, "reservationAffinity", `{"consumeReservationType": "SPECIFIC_RESERVATION", "key": "compute.googleapis.com/reservation-name", "values": ["r1"]}`), 400, "invalid", "does not exist"},
		{"firewall without rules", "global/firewalls", `{"name": "fw"}`, 400, "invalid", "allowed"},
		{"firewall without a name", "global/firewalls", `{"allowed": [{"IPProtocol": "tcp"}]}`, 400, "required", "resource.name"},
	} {
		res, err := http.Post(l.URL()+"/compute/v1/projects/lab-project/"+c.query, "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		var got struct {
			Error struct {
				Code    int
				Message string
				Status  string
				Errors  []struct{ Message, Domain, Reason string }
			}
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Errorf("%s: %v: %s", c.name, err, b)
			continue
		}
		if e := got.Error; res.StatusCode != c.status || e.Code != c.status || len(e.Errors) != 1 || e.Errors[0].Reason != c.reason || e.Status != "INVALID_ARGUMENT" || !strings.Contains(string(b), c.says) {
			t.Errorf("%s: %s: %s", c.name, res.Status, b)
		}
	}
	if n := l.Instances(); len(n) != 0 {
		t.Errorf("instances were made: %v", n)
	}
}

// TestUnknownCalls reports calls that no document has.
func TestUnknownCalls(t *testing.T) {
	t.Parallel()
	l, err := gcelab.New(gcelab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	res, err := http.Get(l.URL() + "/compute/v1/projects/lab-project/zones/us-central1-a/machines")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if v := l.Violations(); res.StatusCode != 404 || len(v) != 1 || !strings.Contains(v[0], "/machines") {
		t.Errorf("%s, %v", res.Status, v)
	}
}

// TestWire sends what clients send: packed bodies, both base paths, system parameters.
func TestWire(t *testing.T) {
	t.Parallel()
	l := newLab(t, gcelab.Options{})
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(goodBody)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.URL()+"/projects/lab-project/zones/us-central1-a/instances?%24alt=json%3Benum-encoding%3Dint&prettyPrint=false", &packed)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Encoding", "gzip")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != 200 || !strings.Contains(string(b), `"kind":"compute#operation"`) {
		t.Errorf("%s: %s", res.Status, b)
	}
}

// TestGcloud drives the lab with Google's own command line, a client that knows nothing of us.
func TestGcloud(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIPPED with -short: gcloud takes seconds for every command")
	}
	if _, err := exec.LookPath("gcloud"); err != nil {
		t.Skip("SKIPPED: gcloud is not on PATH: nobody but our own client drives the lab")
	}
	l := newLab(t, gcelab.Options{Project: "lab-project"})
	env := append(os.Environ(), "CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true", "CLOUDSDK_CORE_PROJECT=lab-project", "CLOUDSDK_CORE_DISABLE_PROMPTS=1",
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE="+l.URL()+"/compute/v1/", "CLOUDSDK_CONFIG="+t.TempDir(), "CLOUDSDK_CORE_CHECK_GCE_METADATA=false", "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK=true")
	gcloud := func(line, want string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "gcloud", strings.Fields("compute "+line)...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("gcloud compute %s: %v, want %q:\n%s", line, err, want, out)
		}
		return string(out)
	}
	gcloud("instances create vm1 --zone us-central1-a --machine-type n1-standard-2 --accelerator type=nvidia-tesla-t4,count=1 --maintenance-policy TERMINATE --image-family debian-12 --image-project debian-cloud "+
		"--provisioning-model SPOT --instance-termination-action DELETE --max-run-duration 2h --labels a=b --metadata k=v --tags ssh", "RUNNING")
	gcloud("instances list --filter labels.a=b --format value(name,status)", "vm1\tRUNNING")
	gcloud("instances describe vm1 --zone us-central1-a --format value(scheduling.maxRunDuration.seconds,labels.a)", "7200\tb")
	gcloud("instances stop vm1 --zone us-central1-a", "vm1")
	if s := l.State("us-central1-a", "vm1"); s != "TERMINATED" {
		t.Errorf("after gcloud stop: %q", s)
	}
	gcloud("instances start vm1 --zone us-central1-a", "vm1")
	gcloud("firewall-rules create fw1 --allow tcp:22 --source-ranges 10.0.0.0/8", "fw1")
	gcloud("instances delete vm1 --zone us-central1-a --quiet", "Deleted")
	gcloud("operations list --filter operationType=delete --format value(operationType,status)", "delete\tDONE")
	if n := l.Instances(); len(n) != 0 {
		t.Errorf("after gcloud delete: %v", n)
	}
}

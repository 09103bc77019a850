package picture

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"golang.org/x/oauth2/google"
)

var pixel = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89")

func TestRead(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "report")
	for name, data := range map[string][]byte{"report/a.png": pixel, "report/sub/b.svg": []byte("<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
		"report/c.png": []byte("TOKEN=hunter2\n"), "report/page.svg": []byte("<html><svg></svg></html>"), "secret.png": pixel, "report/empty.png": nil} {
		file := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(top, "secret.png"), filepath.Join(dir, "link.png")); err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]string{"a.png": "image/png", "./a.png": "image/png", "sub/b.svg": "image/svg+xml", filepath.Join(dir, "a.png"): "image/png",
		"c.png": "", "page.svg": "", "empty.png": "", "../secret.png": "", "link.png": "", filepath.Join(top, "secret.png"): "", "none.png": "", "sub": "", "/etc/passwd": ""} {
		p, err := Read(dir, name)
		if (kind == "") != (err != nil) || p.Type != kind {
			t.Errorf("%s: %s, %v", name, p.Type, err)
		}
		if kind != "" && (len(p.Name()) != 36 || p.Name() != mustRead(t, dir, name).Name()) {
			t.Errorf("%s is called %s", name, p.Name())
		}
	}
}

func mustRead(t *testing.T, dir, name string) Picture {
	t.Helper()
	p, err := Read(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"", "bucket", "s3://", "ftp://b/x", "s3://key:secret@b/x", "s3://b/x?y=1", "s3://b:80/x"} {
		if _, err := Open(t.Context(), where, Options{Lookup: none}); err == nil || strings.Contains(err.Error(), "secret@") && !strings.Contains(where, "secret") {
			t.Errorf("%q: %v", where, err)
		}
	}
}

func none(string) (string, bool) { return "", false }

// bucketOf is a bucket of a server, with keys that are given rather than found.
func bucketOf(server string, public bool) *s3 {
	return &s3{bucket: "plots", prefix: "ci/a b", endpoint: server, region: "us-east-1", keys: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "hunter2secret", ""),
		signer: v4.NewSigner(func(so *v4.SignerOptions) { so.DisableURIPathEscaping = true }), o: Options{Public: public, Lookup: none, Client: http.DefaultClient}}
}

// TestMoto keeps a picture in a bucket of moto's S3 and loads it by the link, without credentials.
func TestMoto(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("moto_server"); err != nil {
		t.Skip("SKIPPED: there is no moto_server on PATH (pip install 'moto[server]', version 5)")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := "http://" + ln.Addr().String()
	_ = ln.Close()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "moto_server", "-H", "127.0.0.1", "-p", server[strings.LastIndexByte(server, ':')+1:])
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for {
		req, _ := http.NewRequestWithContext(ctx, http.MethodPut, server+"/plots", nil)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	p, err := New(pixel)
	if err != nil {
		t.Fatal(err)
	}
	var links []string
	for _, public := range []bool{false, true, true} {
		link, err := bucketOf(server, public).Keep(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, link)
		if strings.Contains(link, "hunter2") || public == strings.Contains(link, "X-Amz-Signature=") || !strings.Contains(link, "/plots/ci/a%20b/"+p.Name()) {
			t.Errorf("%s", link)
		}
	}
	if links[1] != links[2] {
		t.Errorf("the same picture is at %s and %s", links[1], links[2])
	}
	resp, err := http.Get(links[0])
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != string(pixel) || resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("HTTP %d, %q, %v", resp.StatusCode, b, err)
	}
	other := bucketOf(server, false)
	other.bucket = "none"
	if _, err := other.Keep(ctx, p); err == nil || !strings.Contains(err.Error(), "NoSuchBucket") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

// TestRegion follows a bucket to where it is.
func TestRegion(t *testing.T) {
	t.Parallel()
	var asked []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Authorization"))
		if !strings.Contains(r.Header.Get("Authorization"), "/eu-west-3/s3/aws4_request") {
			w.Header().Set("X-Amz-Bucket-Region", "eu-west-3")
			w.WriteHeader(http.StatusMovedPermanently)
		}
	}))
	t.Cleanup(web.Close)
	p, _ := New(pixel)
	link, err := bucketOf(web.URL, false).Keep(t.Context(), p)
	if err != nil || len(asked) != 2 || !strings.Contains(link, "eu-west-3") || !strings.Contains(link, "X-Amz-Expires=604800") {
		t.Errorf("%s, %v, asked %d times", link, err, len(asked))
	}
	s := bucketOf("", true)
	for bucket, want := range map[string]string{"plots": "https://plots.s3.us-east-1.amazonaws.com/k", "a.b": "https://s3.us-east-1.amazonaws.com/a.b/k"} {
		if s.bucket = bucket; s.address("k") != want {
			t.Errorf("%s", s.address("k"))
		}
	}
	s.keys = sdk.AnonymousCredentials{}
	if _, err := s.Keep(t.Context(), p); err == nil {
		t.Error("kept without credentials")
	}
}

// TestGoogle checks what is put, and the signature of the link by the public key.
func TestGoogle(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var put string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"tok","token_type":"Bearer","expires_in":3600}`)
			return
		}
		b, _ := io.ReadAll(r.Body)
		put = r.Method + " " + r.URL.EscapedPath() + " " + r.Header.Get("Authorization") + " " + r.Header.Get("Content-Type") + " " + string(b)
	}))
	t.Cleanup(web.Close)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := json.Marshal(map[string]string{"type": "service_account", "client_email": "ci@acme.example", "private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"token_uri": web.URL + "/token", "private_key_id": "1"})
	p, _ := New(pixel)
	k, err := gcsOf("plots", "ci", Options{Lookup: func(n string) (string, bool) { return web.URL, n == "STORAGE_EMULATOR_HOST" }, Client: web.Client()}, credsOf(t, doc))
	if err != nil {
		t.Fatal(err)
	}
	link, err := k.Keep(t.Context(), p)
	if err != nil || put != "PUT /plots/ci/"+p.Name()+" Bearer tok image/png "+string(pixel) {
		t.Fatalf("%q, %v", put, err)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	query, signature, _ := strings.Cut(u.RawQuery, "&X-Goog-Signature=")
	raw, _ := hex.DecodeString(signature)
	canonical := fmt.Sprintf("GET\n%s\n%s\nhost:%s\n\nhost\nUNSIGNED-PAYLOAD", u.EscapedPath(), query, u.Host)
	hash := sha256.Sum256([]byte(canonical))
	stamp := u.Query().Get("X-Goog-Date")
	digest := sha256.Sum256([]byte("GOOG4-RSA-SHA256\n" + stamp + "\n" + stamp[:8] + "/auto/storage/goog4_request\n" + hex.EncodeToString(hash[:])))
	if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], raw); err != nil || !strings.Contains(query, "X-Goog-Expires=604800") {
		t.Errorf("%v of %s", err, link)
	}
	user := []byte(`{"type":"authorized_user","client_id":"a","client_secret":"b","refresh_token":"c"}`)
	if _, err := gcsOf("plots", "", Options{Lookup: none, Client: web.Client()}, credsOf(t, user)); err == nil || !strings.Contains(err.Error(), "--image-links public") {
		t.Errorf("%v", err)
	}
}

func credsOf(t *testing.T, doc []byte) *google.Credentials {
	t.Helper()
	var kind struct{ Type google.CredentialsType }
	if err := json.Unmarshal(doc, &kind); err != nil {
		t.Fatal(err)
	}
	c, err := google.CredentialsFromJSONWithType(t.Context(), doc, kind.Type, scope)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

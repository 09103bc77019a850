package picture

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// gcs is a bucket of Google Cloud Storage.
type gcs struct {
	bucket, prefix, endpoint string
	o                        Options
	tokens                   oauth2.TokenSource
	account                  string // that signs links
	key                      *rsa.PrivateKey
}

// errNoKey is why a link cannot be signed.
var errNoKey = errors.New("these credentials of Google hold no private key, so they cannot sign links: use those of a service account, or --image-links public")

const scope = "https://www.googleapis.com/auth/devstorage.read_write"

func newGCS(ctx context.Context, bucket, prefix string, o Options) (*gcs, error) {
	creds, err := google.FindDefaultCredentials(ctx, scope)
	if err != nil {
		return nil, fmt.Errorf("the credentials of Google: %w", err)
	}
	return gcsOf(bucket, prefix, o, creds)
}

func gcsOf(bucket, prefix string, o Options, creds *google.Credentials) (*gcs, error) {
	g := &gcs{bucket: bucket, prefix: prefix, endpoint: "https://storage.googleapis.com", o: o, tokens: creds.TokenSource}
	if v, _ := o.Lookup("STORAGE_EMULATOR_HOST"); v != "" {
		if !strings.Contains(v, "://") {
			v = "http://" + v
		}
		g.endpoint = strings.TrimRight(v, "/")
	}
	var file struct {
		Email string `json:"client_email"`
		Key   string `json:"private_key"`
	}
	if json.Unmarshal(creds.JSON, &file) == nil && file.Key != "" {
		if block, _ := pem.Decode([]byte(file.Key)); block != nil {
			if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				g.key, _ = k.(*rsa.PrivateKey)
				g.account = file.Email
			}
		}
	}
	if g.key == nil && !o.Public {
		return nil, errNoKey
	}
	return g, nil
}

// Keep puts an object.
func (g *gcs) Keep(ctx context.Context, p Picture) (string, error) {
	token, err := g.tokens.Token()
	if err != nil {
		return "", plain("the credentials of Google", err)
	}
	key := path.Join(g.prefix, p.Name())
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, g.address(key), bytes.NewReader(p.Data))
	if err != nil {
		return "", err
	}
	token.SetAuthHeader(req)
	req.Header.Set("Content-Type", p.Type)
	req.Header.Set("Cache-Control", "max-age=31536000, immutable")
	resp, err := g.o.Client.Do(req)
	if err != nil {
		return "", plain("put into the bucket "+g.bucket, err)
	}
	if err := answer("put into the bucket "+g.bucket, resp); err != nil {
		return "", err
	}
	if g.o.Public {
		return g.address(key), nil
	}
	return g.sign(key, time.Now().UTC())
}

func (g *gcs) address(key string) string { return g.endpoint + "/" + g.bucket + "/" + escape(key) }

// sign makes a link that is good for a week, as V4 of the signatures of Google has it.
func (g *gcs) sign(key string, now time.Time) (string, error) {
	u, err := url.Parse(g.address(key))
	if err != nil {
		return "", err
	}
	stamp, within := now.Format("20060102T150405Z"), now.Format("20060102")+"/auto/storage/goog4_request"
	q := url.Values{"X-Goog-Algorithm": {"GOOG4-RSA-SHA256"}, "X-Goog-Credential": {g.account + "/" + within}, "X-Goog-Date": {stamp},
		"X-Goog-Expires": {fmt.Sprint(int(week / time.Second))}, "X-Goog-SignedHeaders": {"host"}}
	query := strings.ReplaceAll(q.Encode(), "+", "%20")
	canonical := sha256.Sum256([]byte("GET\n" + u.EscapedPath() + "\n" + query + "\nhost:" + u.Host + "\n\nhost\nUNSIGNED-PAYLOAD"))
	digest := sha256.Sum256([]byte("GOOG4-RSA-SHA256\n" + stamp + "\n" + within + "\n" + hex.EncodeToString(canonical[:])))
	signature, err := rsa.SignPKCS1v15(rand.Reader, g.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign a link: %w", err)
	}
	return g.address(key) + "?" + query + "&X-Goog-Signature=" + hex.EncodeToString(signature), nil
}

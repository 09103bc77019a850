package picture

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
)

// week is how long a signed link may be good for; one that temporary credentials sign ends with them.
const week = 7 * 24 * time.Hour

// s3 is a bucket of Amazon S3, or of a server like it ($AWS_ENDPOINT_URL_S3). A signer and two requests are all of the SDK
// that is needed.
type s3 struct {
	bucket, prefix, endpoint string
	region                   string
	o                        Options
	keys                     sdk.CredentialsProvider
	signer                   *v4.Signer
}

func newS3(ctx context.Context, bucket, prefix string, o Options) (*s3, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("the credentials of AWS: %w", err)
	}
	s := &s3{bucket: bucket, prefix: prefix, region: cfg.Region, o: o, keys: cfg.Credentials, signer: v4.NewSigner(func(so *v4.SignerOptions) { so.DisableURIPathEscaping = true })}
	if s.region == "" {
		s.region = "us-east-1"
	}
	for _, name := range []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} {
		if v, _ := o.Lookup(name); v != "" && s.endpoint == "" {
			s.endpoint = strings.TrimRight(v, "/")
		}
	}
	return s, nil
}

// address is where an object is.
func (s *s3) address(key string) string {
	switch {
	case s.endpoint != "":
		return s.endpoint + "/" + s.bucket + "/" + escape(key)
	case strings.Contains(s.bucket, "."): // no certificate fits the name
		return "https://s3." + s.region + ".amazonaws.com/" + s.bucket + "/" + escape(key)
	}
	return "https://" + s.bucket + ".s3." + s.region + ".amazonaws.com/" + escape(key)
}

var regionName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// Keep puts an object, in the region that the bucket turns out to be in.
func (s *s3) Keep(ctx context.Context, p Picture) (string, error) {
	keys, err := s.keys.Retrieve(ctx)
	if err != nil {
		return "", fmt.Errorf("the credentials of AWS: %w", err)
	}
	key := path.Join(s.prefix, p.Name())
	sum := sha256.Sum256(p.Data)
	for try := 0; ; try++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.address(key), bytes.NewReader(p.Data))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", p.Type)
		req.Header.Set("Cache-Control", "max-age=31536000, immutable")
		req.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
		if err := s.signer.SignHTTP(ctx, keys, req, hex.EncodeToString(sum[:]), "s3", s.region, time.Now()); err != nil {
			return "", fmt.Errorf("sign: %w", err)
		}
		resp, err := s.o.Client.Do(req)
		if err != nil {
			return "", plain("put into the bucket "+s.bucket, err)
		}
		err = answer("put into the bucket "+s.bucket, resp)
		if there := resp.Header.Get("X-Amz-Bucket-Region"); err != nil && try == 0 && there != s.region && regionName.MatchString(there) {
			s.region = there
			continue
		}
		if err != nil {
			return "", err
		}
		break
	}
	if s.o.Public {
		return s.address(key), nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address(key)+fmt.Sprintf("?X-Amz-Expires=%d", int(week/time.Second)), nil)
	if err != nil {
		return "", err
	}
	link, _, err := s.signer.PresignHTTP(ctx, keys, req, "UNSIGNED-PAYLOAD", "s3", s.region, time.Now())
	if err != nil {
		return "", fmt.Errorf("sign a link: %w", err)
	}
	return link, nil
}

// plain is an error without the address, whose query may be a signature.
func plain(doing string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("%s: %w", doing, err)
}

var message = regexp.MustCompile(`(?s)<Code>([^<]{1,100})</Code>.*?<Message>([^<]{1,300})</Message>`)

// answer is nil for a success, else what the bucket said.
func answer(doing string, resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return plain(doing, err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	if m := message.FindSubmatch(b); m != nil {
		return fmt.Errorf("%s: HTTP %d: %s: %s", doing, resp.StatusCode, m[1], m[2])
	}
	return fmt.Errorf("%s: HTTP %d", doing, resp.StatusCode)
}

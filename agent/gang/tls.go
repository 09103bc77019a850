package gang

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

const keyFile = "gang.key"

var errNoCert = errors.New("no certificate from the controller yet")

// identity is the node's key, which never leaves it, and what the controller signed.
type identity struct {
	mu   sync.Mutex
	key  *ecdsa.PrivateKey
	der  []byte
	cert *tls.Certificate
	pool *x509.CertPool
}

// derive makes a secret for a purpose out of the node's key, which never leaves it.
func (i *identity) derive(purpose string) []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	raw, err := i.key.Bytes()
	if err != nil {
		return nil // no key yet: nothing is derived
	}
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

// load reads the key or makes it.
func (id *identity) load(dir string) error {
	path := filepath.Join(dir, keyFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		b, err = makeKey(path)
	}
	if err != nil {
		return fmt.Errorf("the gang's key: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return fmt.Errorf("the gang's key: %s is not PEM", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("the gang's key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("the gang's key: %s holds another kind of key", path)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("the gang's key: %w", err)
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	id.key, id.der = key, der
	return nil
}

func makeKey(path string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return nil, err
	}
	return b, os.Rename(tmp, path)
}

func (id *identity) public() []byte {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.der
}

// set takes a certificate for the key.
func (id *identity) set(cert, ca []byte) error {
	block, _ := pem.Decode(cert)
	if block == nil {
		return errors.New("the gang's certificate is not PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("the gang's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return errors.New("the gang's CA is not PEM")
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	if pub, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || id.key == nil || !pub.Equal(&id.key.PublicKey) {
		return errors.New("the gang's certificate is for another key")
	}
	id.cert = &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: id.key, Leaf: leaf}
	id.pool = pool
	return nil
}

func (id *identity) now() (*tls.Certificate, *x509.CertPool, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.cert == nil {
		return nil, nil, errNoCert
	}
	return id.cert, id.pool, nil
}

// server takes calls of nodes of the cluster only; the certificate may change while it runs.
func (id *identity) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cert, pool, err := id.now()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*cert}, NextProtos: []string{"h2"},
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
			}, nil
		},
	}
}

// client calls one node, which must show that it is that node.
func (id *identity) client(node string) (*tls.Config, error) {
	cert, pool, err := id.now()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*cert}, RootCAs: pool, ServerName: node,
	}, nil
}
